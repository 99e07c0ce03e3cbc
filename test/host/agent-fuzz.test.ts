/** G01, from the other side: the agent over damaged frames of a host: no crash, no growth, no standstill. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { AgentHarness } from '../lib/agent-harness.ts';

const ROUNDS = 500_000;
const SEED = Number(process.env['BERTH_FUZZ_SEED'] ?? randomInt(2 ** 31));

async function survives(harness: AgentHarness): Promise<void> {
  const { code, stdout, stderr } = await harness.run(ROUNDS, SEED, 240_000);
  assert.equal(code, 0, `seed ${SEED}: ${stdout}${stderr.slice(0, 3000)}`);
  const counted = JSON.parse(stdout) as { readonly launches: number; readonly setups: number; readonly ended: number; readonly answers: number };
  for (const name of ['launches', 'setups', 'ended', 'answers'] as const) assert.ok(counted[name] > 500, `${name}: ${stdout}`);
}

test(`G01: ${ROUNDS} damaged frames at the agent (seed ${SEED})`, { timeout: 300_000 }, async () => {
  using harness = await AgentHarness.build();
  await survives(harness);
});

test('without its check of sizes the agent goes red', { timeout: 300_000 }, async () => {
  using harness = await AgentHarness.build('SIZES_UNCHECKED');
  const { code, stderr } = await harness.run(ROUNDS, SEED, 240_000);
  assert.notEqual(code, 0);
  assert.match(stderr, /AddressSanitizer/);
});
