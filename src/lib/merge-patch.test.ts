import assert from 'node:assert/strict';
import { it } from 'node:test';
import { mergePatch } from './merge-patch.ts';

it('does what the examples of RFC 7396, appendix A, say', () => {
  const cases: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [['a', 'b'], ['c', 'd'], ['c', 'd']],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, expected] of cases) assert.deepEqual(mergePatch(target, patch), expected, JSON.stringify([target, patch]));
});

it('changes neither argument and shares nothing with them', () => {
  const target = { a: { b: [1] } };
  const patch = { c: { d: [2] } };
  const result = mergePatch(target, patch) as { a: { b: number[] }; c: { d: number[] } };
  result.a.b.push(9);
  result.c.d.push(9);
  assert.deepEqual([target, patch], [{ a: { b: [1] } }, { c: { d: [2] } }]);
});

it('does not reach the prototype of objects', () => {
  for (const text of ['{"__proto__":{"polluted":1}}', '{"a":{"constructor":{"prototype":{"polluted":1}}}}', '{"a":{"prototype":1}}']) {
    assert.throws(() => mergePatch({ a: {} }, JSON.parse(text)), RangeError);
  }
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
});
