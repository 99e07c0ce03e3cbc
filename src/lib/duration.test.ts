import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from './duration.ts';

it('reads what people write', () => {
  const cases: [string, number][] = [['90s', 90_000], ['1m30s', 90_000], ['1.5h', 5_400_000], ['250ms', 250], ['2d', 172_800_000], ['0', 0], ['0s', 0], [' 1s ', 1000], ['1d1h1m1s1ms', 90_061_001]];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
  assert.equal(parseDuration('10', { bareUnit: 's' }), 10_000);
});

it('says what is wrong', () => {
  const cases: [string, RegExp][] = [['10', /no unit; write for example 10s/], ['', /no duration/], ['1y', /unknown unit "y"/], ['1s1m', /largest/], ['1s1s', /largest/], ['-1s', /no duration/], ['1e3s', /no duration|unknown/], ['9'.repeat(30) + 'd', /too long/], ['1m 30s', /no duration/]];
  for (const [text, message] of cases) assert.throws(() => parseDuration(text), (error) => error instanceof RangeError && message.test(error.message), text);
});

it('writes what it reads back', () => {
  assert.deepEqual([0, 1, 1500, 90_000, 86_400_000].map(formatDuration), ['0s', '1ms', '1s500ms', '1m30s', '1d']);
  fc.assert(fc.property(fc.nat(1e12), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)));
});
