import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { compareUtf8, prefixEnd } from './utf8-order.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'b', '\u{d7ff}', '\u{e000}', '\u{ffff}', '\u{10000}', '\u{10ffff}', 'é'), maxLength: 6 });

it('orders as the bytes do', () => {
  fc.assert(fc.property(text, text, (a, b) => {
    assert.equal(Math.sign(compareUtf8(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }));
});

it('bounds exactly what starts with a prefix', () => {
  fc.assert(fc.property(text, text, (prefix, key) => {
    const end = prefixEnd(prefix);
    const inside = compareUtf8(key, prefix) >= 0 && (end === undefined || compareUtf8(key, end) < 0);
    assert.equal(inside, key.startsWith(prefix));
    assert.ok(end === undefined || end.isWellFormed());
  }));
  assert.deepEqual(['', 'a', '\u{d7ff}', 'a\u{10ffff}', '\u{10ffff}'].map(prefixEnd), [undefined, 'b', '\u{e000}', 'b', undefined]);
});
