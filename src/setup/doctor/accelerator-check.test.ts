import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceleratorFinding } from './accelerator-check.ts';
import type { HostView } from './finding.ts';

const host = (over: Partial<HostView> = {}): HostView => ({ isRoot: true, readText: () => undefined, list: () => [], readLink: () => undefined, exists: () => true, run: async () => undefined, ...over });

test('what the probe says is what doctor says', async () => {
  const of = async (accelerator: 'kvm' | 'tcg', stage: string) => (await acceleratorFinding(host(), async () => ({ accelerator, stage, reason: 'The reason.' })))[0]!;
  assert.equal((await of('kvm', 'ABCDEFGHIK')).status, 'ok');
  const emulated = await of('tcg', 'ABC');
  assert.equal(emulated.status, 'warn');
  assert.match(emulated.found, /The reason\. \(stages passed: ABC\)/);
  assert.match(emulated.means, /no security boundary/);
});

test('what cannot be tried is neither good nor bad', async () => {
  const never = async (): Promise<never> => assert.fail('the probe must not run');
  for (const over of [{ isRoot: false }, { exists: () => false }]) assert.equal((await acceleratorFinding(host(over), never))[0]!.status, 'info');
});
