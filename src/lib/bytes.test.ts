import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { formatBytes, formatBytesExact, parseBytes } from './bytes.ts';

const MIB = 1024 ** 2;

it("reads docker's sizes", () => {
  const cases: [string, number][] = [['512m', 512 * MIB], ['512M', 512 * MIB], ['512MB', 512 * MIB], ['512mb', 512 * MIB], ['512MiB', 512 * MIB], ['512Mi', 512 * MIB], ['2g', 2048 * MIB], ['1.5GiB', 1536 * MIB], ['100', 100], ['100b', 100], ['1 k', 1024], ['0', 0], ['1t', MIB * MIB]];
  for (const [text, bytes] of cases) assert.equal(parseBytes(text), bytes, text);
});

it("reads kubernetes' quantities", () => {
  const cases: [string, number][] = [['512Mi', 512 * MIB], ['512M', 512e6], ['1k', 1000], ['1Ki', 1024], ['2G', 2e9], ['1.5Gi', 1536 * MIB], ['128974848', 128974848], ['512MiB', 512 * MIB]];
  for (const [text, bytes] of cases) assert.equal(parseBytes(text, { kubernetes: true }), bytes, text);
  for (const text of ['512m', '1K', '1ki', '1g', '1MB', '1b']) assert.throws(() => parseBytes(text, { kubernetes: true }), /unknown unit/, text);
});

it('says what is wrong', () => {
  const cases: [string, RegExp][] = [['', /no size/], ['m', /no size/], ['-1m', /no size/], ['1x', /unknown unit "x"/], ['1mm', /unknown unit/], ['1.5', /whole number of bytes/], ['99999999p', /too large/], ['1e6', /unknown unit|no size/], ['0x10', /no size/]];
  for (const [text, message] of cases) assert.throws(() => parseBytes(text), (error) => error instanceof RangeError && message.test(error.message), text);
});

it('writes sizes for people and for programs', () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, 1536 * MIB, MIB - 1].map(formatBytes), ['0B', '1B', '1023B', '1KiB', '1.5KiB', '1.5GiB', '1MiB']);
  assert.deepEqual([0, 1000, 1024, 1536 * MIB, 2048 * MIB].map(formatBytesExact), ['0', '1000', '1KiB', '1536MiB', '2GiB']);
  fc.assert(fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(1e6).map((n) => n * 4096)), (bytes) => {
    assert.equal(parseBytes(formatBytesExact(bytes)), bytes);
    assert.equal(parseBytes(formatBytesExact(bytes), { kubernetes: true }), bytes);
  }));
});
