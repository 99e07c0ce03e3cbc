/**
 * Every step of every long verb fails, before its effect and after it, as the kernel fails: EIO, ENOSPC, EPERM. Then the
 * operation says so with a code, the object is absent or in a named state that says why, the same request without the
 * fault succeeds, nothing leaks, and who has nothing to do with it notices nothing.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { TestDaemon } from '../lib/daemon.ts';
import { seededOrder } from '../lib/seeded-order.ts';
import type { DockerRegistry } from '../lib/docker-registry.ts';
import { cleanUp, CONTAINER_VERBS, MICROVM_VERBS, NAMED, OTHER_VERBS, harnessRegistry, type StepRow, type VerbPlan } from './verb-plans.ts';

const CODES: Readonly<Record<string, string>> = { EIO: 'internal', ENOSPC: 'exhausted', EPERM: 'internal' };
const ERRNOS = Object.keys(CODES);
/** A guest boots for each: a few steps of many. */
const MICROVM_SAMPLES = 2;

describe('every step of every verb fails', () => {
  let daemon: TestDaemon;
  let registry: DockerRegistry;
  let rows: readonly StepRow[];
  let bystander: { status: { pid: number } };
  let failures = 0;

  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
    registry = await harnessRegistry(daemon);
    rows = (await daemon.ok('GET', '/v1/debug/steps')).steps as StepRow[];
    await daemon.create('bystander', { command: ['sh', '-c', 'echo here > /tmp/index.html; exec httpd -f -p 80 -h /tmp'], ports: [{ hostPort: 18_081, targetPort: 80 }] });
    bystander = await daemon.untilState('bystander', 'running');
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await daemon?.[Symbol.asyncDispose]();
  });

  /** Fails one step of a verb once, and checks all that must hold afterwards. */
  async function failOnce(verb: string, plan: VerbPlan, step: string, moment: 'before' | 'after'): Promise<void> {
    const errno = ERRNOS[failures++ % ERRNOS.length]!;
    const where = `${errno} ${moment} ${verb}/${step}`;
    await plan.prepare(daemon);
    await daemon.faults({ failAt: `${verb}/${step}/${moment}/${errno}` });
    const answer = await plan.act(daemon);
    await daemon.faults();
    if (plan.quick !== true) assert.equal(answer.body.status?.state, 'failed', `${where}: ${JSON.stringify(answer.body)}`);
    const { code, message } = plan.quick === true ? { code: answer.body.code, message: answer.body.detail } : answer.body.status.error;
    assert.equal(code, CODES[errno], where);
    assert.match(message, /^Could not .*made to fail by a test/, where);
    const found = await plan.find(daemon);
    if (found !== undefined) {
      assert.ok(NAMED.has(found.status.state), `${where}: ${found.meta.name} is ${found.status.state}`);
      assert.equal(found.status.error?.code, plan.quick === true ? undefined : CODES[errno], `${where}: a ${found.kind} that is ${found.status.state} does not say why`);
      assert.equal(found.status.operation, undefined, where);
    }
    await plan.retry(daemon).catch((error: Error) => assert.fail(`${where}, then repeated: ${error.message}`));
    await cleanUp(daemon);
    await daemon.untilNoLeaks().catch((error: Error) => assert.fail(`${where}: ${error.message}`));
  }

  async function bystanderIsWell(): Promise<void> {
    const now = await daemon.instance('bystander');
    assert.deepEqual([now.status.state, now.status.pid], ['running', bystander.status.pid]);
    assert.equal(await daemon.fromTheHost(['curl', '-sS', '-m', '5', 'http://127.0.0.1:18081/']), 'here\n');
  }

  for (const [verb, plan] of Object.entries({ ...CONTAINER_VERBS, ...OTHER_VERBS })) {
    test(`${verb}: each step, before and after`, { timeout: 120_000 }, async (t) => {
      const steps = rows.filter((row) => row.verb === verb);
      assert.ok(steps.length > 0, `${verb} has no steps`);
      for (const { step } of steps) for (const moment of ['before', 'after'] as const) await failOnce(verb, plan, step, moment);
      await bystanderIsWell();
      t.diagnostic(`${steps.length} steps, ${failures} failures so far, 0 leaks`);
    });
  }

  test(`microVM: ${MICROVM_SAMPLES} steps of its verbs, by a seed`, { timeout: 240_000 }, async (t) => {
    const seed = Number(process.env['BERTH_TEST_SEED'] ?? randomInt(2 ** 31));
    t.diagnostic(`BERTH_TEST_SEED=${seed}`);
    const all = rows.filter((row) => MICROVM_VERBS[row.verb] !== undefined).flatMap((row) => (['before', 'after'] as const).map((moment) => ({ ...row, moment })));
    for (const { verb, step, moment } of seededOrder(all, seed).slice(0, MICROVM_SAMPLES)) await failOnce(verb, MICROVM_VERBS[verb]!, step, moment);
    await bystanderIsWell();
  });
});
