import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { JsonError, parseJsonStrict, type JsonLimits } from './json-strict.ts';

function refused(text: string | Uint8Array, path: string, message: RegExp, limits?: JsonLimits): void {
  assert.throws(() => parseJsonStrict(text, limits), (error) => {
    assert.ok(error instanceof JsonError, String(error));
    assert.equal(error.path, path);
    assert.match(error.message, message);
    return true;
  });
}

it('takes what JSON.parse takes, and the same', () => {
  fc.assert(fc.property(fc.json({ maxDepth: 5 }), (text) => {
    fc.pre(!/__proto__|constructor|prototype/.test(text));
    assert.deepEqual(parseJsonStrict(text), JSON.parse(text));
  }));
  assert.deepEqual(parseJsonStrict(Buffer.from('{"ä":[1,"\\"]}{[,:",{"a":null}]}')), { ä: [1, '"]}{[,:', { a: null }] });
  assert.equal(parseJsonStrict('"a \\\\"'), 'a \\');
});

it('refuses a key that is there twice, also when it is spelled with escapes', () => {
  refused('{"a":{"b":1,"c":[],"b":2}}', 'a.b', /twice/);
  refused('{"a":1,"\\u0061":2}', 'a', /twice/);
  assert.deepEqual(parseJsonStrict('[{"a":"a"},{"a":{"a":1}}]'), [{ a: 'a' }, { a: { a: 1 } }]);
});

it('refuses keys that reach the prototype', () => {
  refused('{"__proto__":1}', '__proto__', /not allowed/);
  refused('{"\\u005f_proto__":1}', '__proto__', /not allowed/);
  refused('{"x":[0,{"constructor":{}}]}', 'x.1.constructor', /not allowed/);
  refused('{"prototype":1}', 'prototype', /not allowed/);
  assert.equal(parseJsonStrict('"__proto__"'), '__proto__');
});

it('refuses what is too deep, too long or has too many members', () => {
  assert.ok(parseJsonStrict('['.repeat(32) + ']'.repeat(32)));
  refused('['.repeat(33) + ']'.repeat(33), Array(32).fill('0').join('.'), /deeper than 32/);
  refused('{"a":'.repeat(1_00_000), Array(32).fill('a').join('.'), /deeper/);
  refused(JSON.stringify('x'.repeat(100)), '', /more than 100 bytes/, { maxBytes: 100 });
  refused(JSON.stringify('é'.repeat(50)), '', /more than 100 bytes/, { maxBytes: 100 });
  assert.ok(parseJsonStrict(`[${Array(10_000).fill(0).join()}]`));
  refused(`[${Array(10_001).fill(0).join()}]`, '10000', /more than 10000/);
  refused(`{${Array.from({ length: 4 }, (_, i) => `"k${i}":0`).join()}}`, 'k3', /more than 3/, { maxKeys: 3 });
});

it('refuses what is no JSON', () => {
  for (const text of ['', '{', '{"a"}', '[1,]', "{'a':1}", '{"a":1}}', '"', '"\\"', '{"\\x":1}', 'NaN', '01', '// hi\n1', '\ufeff1']) {
    refused(text, '', /not valid JSON/);
  }
  refused(Uint8Array.of(0x22, 0xff, 0x22), '', /UTF-8/);
});
