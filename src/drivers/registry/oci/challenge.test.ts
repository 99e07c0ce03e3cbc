import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChallenge } from './challenge.ts';
import { parseContentRange, parseUploadRange } from './header-text.ts';
import { PassingFailure, Patience, retryAfterMs } from './passing-failure.ts';
import { BerthError } from '../../../model/errors.ts';

test('challenges as registries write them', () => {
  const cases: readonly (readonly [string | undefined, ReturnType<typeof parseChallenge>])[] = [
    [undefined, undefined],
    ['', undefined],
    ['Basic realm="x"', { kind: 'basic' }],
    ['basic', { kind: 'basic' }],
    ['Bearer realm="https://a.example/token",service="s",scope="repository:a:pull"', { kind: 'bearer', realm: 'https://a.example/token', service: 's' }],
    ['bearer service=s, realm="https://a.example/?x=1,2"', { kind: 'bearer', realm: 'https://a.example/?x=1,2', service: 's' }],
    ['Basic realm="x", Bearer realm="https://a.example/"', { kind: 'bearer', realm: 'https://a.example/', service: undefined }],
    ['Bearer realm="a\\"b"', { kind: 'bearer', realm: 'a"b', service: undefined }],
    ['Bearer', undefined],
    ['Negotiate abc', undefined],
    ['"""', undefined],
    [`Bearer ${'a='.repeat(5000)}`, undefined],
  ];
  for (const [header, wanted] of cases) assert.deepEqual(parseChallenge(header), wanted, String(header).slice(0, 60));
});

test('ranges', () => {
  assert.deepEqual(parseContentRange('bytes 0-499/1234'), { first: 0, last: 499, size: 1234 });
  assert.deepEqual(parseContentRange('bytes 5-9/*'), { first: 5, last: 9, size: undefined });
  for (const odd of [undefined, '', 'bytes */5', 'bytes -1-5/6', 'items 0-1/2']) assert.equal(parseContentRange(odd), undefined);
  assert.deepEqual(['0-99', 'bytes=0-99', '0-0', '', undefined, '5-9'].map((text) => parseUploadRange(text)), [100, 100, 0, 0, 0, 0]);
});

test('when to come back', () => {
  const now = Date.parse('Wed, 21 Oct 2026 07:28:00 GMT');
  assert.deepEqual(['0', ' 120 ', 'Wed, 21 Oct 2026 07:28:30 GMT', 'Wed, 21 Oct 2015 07:28:00 GMT', 'soon', '-5', undefined].map((text) => retryAfterMs(text, now)), [0, 120_000, 30_000, 0, undefined, retryAfterMs('-5', now), undefined]);
});

test('patience waits longer each time, up to its end, and begins again after progress', async () => {
  const waits: number[] = [];
  const final = new BerthError('unavailable', 'No.');
  const patience = new Patience({ retries: 3, maxRetryAfterMs: 10_000, maxWaitMs: 20_000, wait: async (ms) => void waits.push(ms), random: () => 0.5 });
  for (let i = 0; i < 3; i++) await patience.failed(new PassingFailure(final), undefined);
  await assert.rejects(patience.failed(new PassingFailure(final), undefined), final);
  patience.progressed();
  await patience.failed(new PassingFailure(final, { afterMs: 5000 }), undefined);
  await assert.rejects(patience.failed(new PassingFailure(final, { afterMs: 10_001 }), undefined), final);
  assert.deepEqual(waits, [0, 500, 1000, 5000]);
  await assert.rejects(patience.failed(final, undefined), final);
});
