/**
 * J01. Kills the daemon before and after every step of every verb. Afterwards each object is absent or in a named state, a
 * retry succeeds, and nothing on the host under this root's names is without an owner.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestDaemon } from '../lib/daemon.ts';
import type { DockerRegistry } from '../lib/docker-registry.ts';
import { cleanUp, CONTAINER_VERBS, OTHER_VERBS, harnessRegistry, type StepRow } from './verb-plans.ts';

const VERBS = { ...CONTAINER_VERBS, ...OTHER_VERBS };

describe('the daemon is killed at every step of every verb', () => {
  let daemon: TestDaemon;
  let registry: DockerRegistry;
  let rows: readonly StepRow[];
  let kills = 0;

  before(async () => {
    daemon = await TestDaemon.start();
    await daemon.bootstrapBusybox();
    registry = await harnessRegistry(daemon);
    rows = (await daemon.ok('GET', '/v1/debug/steps')).steps as StepRow[];
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await daemon?.[Symbol.asyncDispose]();
  });

  test('every verb with steps is in the harness', () => {
    const known = new Set([...Object.keys(VERBS), 'image.bootstrap']);
    assert.deepEqual([...new Set(rows.map((row) => row.verb))].filter((verb) => !known.has(verb)), []);
  });

  for (const [verb, plan] of Object.entries(VERBS)) {
    test(`${verb}: before and after each step`, { timeout: 300_000 }, async (t) => {
      const steps = rows.filter((row) => row.verb === verb);
      assert.ok(steps.length > 0, `${verb} has no steps`);
      for (const { step } of steps) {
        for (const moment of ['before', 'after'] as const) {
          await plan.prepare(daemon);
          await daemon.faults({ killAt: `${verb}/${step}/${moment}` });
          await plan.act(daemon).catch(() => undefined);
          await daemon.ended();
          kills++;
          await daemon.up();
          await plan.retry(daemon);
          await cleanUp(daemon);
          await daemon.untilNoLeaks().catch((error: Error) => assert.fail(`after a kill ${moment} ${verb}/${step}: ${error.message}`));
        }
      }
      t.diagnostic(`${steps.length} steps, ${kills} kills so far, 0 leaks`);
    });
  }
});
