/** J01 for systems: their steps are those of containers, their units have more: a subtree of control groups, a seed, lxcfs. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestDaemon } from '../lib/daemon.ts';
import { cleanUp, SYSTEM_VERBS, type StepRow } from './verb-plans.ts';

/** The steps in which the runtime and the disk have a part; the others do not know the form, and the harness for containers has them. */
const OF_THE_FORM: ReadonlySet<string> = new Set(['root', 'unit', 'workload', 'end', 'kill', 'limits']);

describe('the daemon is killed where a system is made, started, ended and taken away', () => {
  let daemon: TestDaemon;
  let rows: readonly StepRow[];
  before(async () => {
    daemon = await TestDaemon.start();
    await daemon.bootstrapBusybox();
    rows = (await daemon.ok('GET', '/v1/debug/steps')).steps as StepRow[];
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  for (const [verb, plan] of Object.entries(SYSTEM_VERBS)) {
    test(`${verb}: before and after each step`, { timeout: 300_000 }, async () => {
      const steps = rows.filter((row) => row.verb === verb && OF_THE_FORM.has(row.step));
      assert.ok(steps.length > 0, `${verb} has no steps`);
      for (const { step } of steps) {
        for (const moment of ['before', 'after'] as const) {
          await plan.prepare(daemon);
          await daemon.faults({ killAt: `${verb}/${step}/${moment}` });
          await plan.act(daemon).catch(() => undefined);
          await daemon.ended();
          await daemon.up();
          await plan.retry(daemon);
          await cleanUp(daemon);
          await daemon.untilNoLeaks().catch((error: Error) => assert.fail(`after a kill ${moment} ${verb}/${step}: ${error.message}`));
        }
      }
    });
  }
});
