/** G01: frames of an agent, damaged: the host's end refuses or ignores them, never fails otherwise, and keeps nothing. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { fuzzLinks, fuzzReaders, heldBytes } from '../../../../test/lib/agent-fuzz.ts';
import { seededBelow } from '../../../../test/lib/seeded-order.ts';

const READ = Number(process.env['BERTH_FUZZ_ROUNDS'] ?? 300_000);
const LINKED = READ / 3;
const SEED = Number(process.env['BERTH_FUZZ_SEED'] ?? randomInt(2 ** 31));
const MAX_GROWTH_BYTES = 16 * 1024 * 1024;

test(`${READ} damaged frames read, ${LINKED} at a link with sessions (seed ${SEED})`, { timeout: 3_600_000 }, async (t) => {
  const below = seededBelow(SEED);
  fuzzReaders(20_000, below);
  await fuzzLinks(20_000, below);
  const before = heldBytes(), begin = performance.now();
  const understood = fuzzReaders(READ, below), readMs = performance.now() - begin;
  assert.ok(understood > READ / 4, `${understood} understood`);
  const ended = await fuzzLinks(LINKED, below), linkMs = performance.now() - begin - readMs;
  assert.ok(ended > 0, 'some were ended for it');
  const grownBytes = heldBytes() - before;
  t.diagnostic(JSON.stringify({ understood, ended, readMs: Math.round(readMs), linkMs: Math.round(linkMs), grownBytes }));
  assert.ok(grownBytes < MAX_GROWTH_BYTES, `${grownBytes} bytes more`);
});
