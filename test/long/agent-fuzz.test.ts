/** Ten million damaged frames to each end of the protocol between host and guest. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { fuzzLinks, fuzzReaders, heldBytes } from '../lib/agent-fuzz.ts';
import { AgentHarness } from '../lib/agent-harness.ts';
import { seededBelow } from '../lib/seeded-order.ts';

const ROUNDS = Number(process.env['BERTH_FUZZ_ROUNDS'] ?? 10_000_000);
const SEED = Number(process.env['BERTH_FUZZ_SEED'] ?? randomInt(2 ** 31));
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;
const WITHIN_MS = 3_600_000;

test(`${ROUNDS} at the guest's end (seed ${SEED})`, { timeout: WITHIN_MS }, async (t) => {
  using harness = await AgentHarness.build();
  const begin = performance.now();
  const { code, stdout, stderr } = await harness.run(ROUNDS, SEED, WITHIN_MS);
  assert.equal(code, 0, `${stdout}${stderr.slice(0, 3000)}`);
  t.diagnostic(`${Math.round((performance.now() - begin) / 1000)} s ${stdout.trim()}`);
});

test(`${ROUNDS} at the host's end, as many at links with sessions (seed ${SEED})`, { timeout: WITHIN_MS }, async (t) => {
  const below = seededBelow(SEED);
  fuzzReaders(20_000, below);
  await fuzzLinks(20_000, below);
  const before = heldBytes(), begin = performance.now();
  const understood = fuzzReaders(ROUNDS, below), read = performance.now();
  const ended = await fuzzLinks(ROUNDS, below), linked = performance.now();
  const grownBytes = heldBytes() - before;
  t.diagnostic(JSON.stringify({ understood, readSeconds: Math.round((read - begin) / 1000), ended, linkSeconds: Math.round((linked - read) / 1000), grownBytes }));
  assert.ok(grownBytes < MAX_GROWTH_BYTES, `${grownBytes} bytes more`);
});
