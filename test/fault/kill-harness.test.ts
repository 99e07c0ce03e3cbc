/**
 * Kills the daemon before and after every step of every verb. Afterwards each object is absent or in a named state, a
 * retry succeeds, and nothing on the host under this root's names is without an owner.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

interface StepRow {
  readonly verb: string;
  readonly step: string;
  readonly undo: boolean;
}

const NAMED: ReadonlySet<string> = new Set(['stopped', 'running', 'paused', 'backoff', 'failed', 'unsupervised']);
const I = '/v1/projects/default/instances';
const SLEEP = { command: ['sleep', '1000'], stopSignal: 'SIGKILL', ports: [{ hostPort: 18_080, targetPort: 80 }], volumes: [{ volume: 'data', target: '/data', readOnly: false }] };

/** What each verb needs, what sets it off, and how it is repeated. */
const VERBS: Readonly<Record<string, { prepare(daemon: TestDaemon): Promise<void>; act(daemon: TestDaemon): Promise<unknown>; retry(daemon: TestDaemon): Promise<void> }>> = {
  'instance.create': {
    async prepare() { /* nothing is needed */ },
    act: (daemon) => daemon.request('POST', `${I}?waitMs=60000`, { meta: { name: 'subject' }, spec: { image: 'busybox', running: true, ...SLEEP } }),
    async retry(daemon) {
      if ((await daemon.instance('subject')) === undefined) await daemon.create('subject', SLEEP);
      await settle(daemon, 'subject', true);
    },
  },
  'instance.start': {
    prepare: (daemon) => daemon.create('subject', { ...SLEEP, running: false }),
    act: (daemon) => daemon.request('POST', `${I}/subject/start?waitMs=60000`),
    retry: (daemon) => settle(daemon, 'subject', true),
  },
  'instance.stop': {
    prepare: (daemon) => daemon.create('subject', SLEEP),
    act: (daemon) => daemon.request('POST', `${I}/subject/stop?waitMs=60000`),
    retry: (daemon) => settle(daemon, 'subject', false),
  },
  'instance.delete': {
    prepare: (daemon) => daemon.create('subject', SLEEP),
    act: (daemon) => daemon.request('DELETE', `${I}/subject?force=1&waitMs=60000`),
    async retry(daemon) {
      if ((await daemon.instance('subject')) !== undefined) await daemon.ok('DELETE', `${I}/subject?force=1&waitMs=60000`);
      assert.equal(await daemon.instance('subject'), undefined);
    },
  },
  'network.create': {
    async prepare() { /* nothing is needed */ },
    act: (daemon) => daemon.request('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'net' } }),
    async retry(daemon) {
      if ((await daemon.request('GET', '/v1/projects/default/networks/net')).status === 404) await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'net' } });
      assert.equal((await daemon.ok('GET', '/v1/projects/default/networks/net')).status.state, 'ready');
    },
  },
  'network.delete': {
    prepare: (daemon) => daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'net' } }),
    act: (daemon) => daemon.request('DELETE', '/v1/projects/default/networks/net?waitMs=60000'),
    async retry(daemon) {
      if ((await daemon.request('GET', '/v1/projects/default/networks/net')).status === 200) await daemon.ok('DELETE', '/v1/projects/default/networks/net?waitMs=60000');
    },
  },
  'volume.create': {
    async prepare() { /* nothing is needed */ },
    act: (daemon) => daemon.request('POST', '/v1/projects/default/volumes?waitMs=60000', { meta: { name: 'vol' } }),
    async retry(daemon) {
      if ((await daemon.request('GET', '/v1/projects/default/volumes/vol')).status === 404) await daemon.ok('POST', '/v1/projects/default/volumes?waitMs=60000', { meta: { name: 'vol' } });
      assert.equal((await daemon.ok('GET', '/v1/projects/default/volumes/vol')).status.state, 'ready');
    },
  },
  'volume.delete': {
    prepare: (daemon) => daemon.ok('POST', '/v1/projects/default/volumes?waitMs=60000', { meta: { name: 'vol' } }),
    act: (daemon) => daemon.request('DELETE', '/v1/projects/default/volumes/vol?waitMs=60000'),
    async retry(daemon) {
      if ((await daemon.request('GET', '/v1/projects/default/volumes/vol')).status === 200) await daemon.ok('DELETE', '/v1/projects/default/volumes/vol?waitMs=60000');
    },
  },
};

/** A named state, and from there the wished one. */
async function settle(daemon: TestDaemon, name: string, running: boolean): Promise<void> {
  const found = await until(async () => { const one = await daemon.instance(name); return one !== undefined && NAMED.has(one.status.state) ? one : undefined; }, { what: `a named state of '${name}'` });
  if (running && found.status.state !== 'running') await daemon.ok('POST', `${I}/${name}/start?waitMs=60000`);
  if (!running && found.status.state === 'running') await daemon.ok('POST', `${I}/${name}/stop?waitMs=60000`);
  assert.equal((await daemon.instance(name))?.status.state, running ? 'running' : 'stopped');
}

async function clean(daemon: TestDaemon): Promise<void> {
  await daemon.request('DELETE', `${I}/subject?force=1&waitMs=60000`);
  await daemon.request('DELETE', '/v1/projects/default/volumes/data?waitMs=60000');
  await daemon.request('DELETE', '/v1/projects/default/volumes/vol?waitMs=60000');
  await daemon.request('DELETE', '/v1/projects/default/networks/net?waitMs=60000');
}

describe('the daemon is killed at every step of every verb', () => {
  let daemon: TestDaemon;
  let rows: readonly StepRow[];
  let kills = 0;

  before(async () => {
    daemon = await TestDaemon.start();
    await daemon.bootstrapBusybox();
    rows = (await daemon.ok('GET', '/v1/debug/steps')).steps as StepRow[];
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

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
          await daemon.restart({ killAt: `${verb}/${step}/${moment}` });
          await plan.act(daemon).catch(() => undefined);
          await daemon.ended();
          kills++;
          await daemon.up();
          await plan.retry(daemon);
          await clean(daemon);
          await daemon.untilNoLeaks().catch((error: Error) => assert.fail(`after a kill ${moment} ${verb}/${step}: ${error.message}`));
        }
      }
      t.diagnostic(`${steps.length} steps, ${kills} kills so far, 0 leaks`);
    });
  }
});
