/** The kill harness for microVMs: the steps are those of containers, the unit is not. Each kill costs boots, so only the steps that touch the machine. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';
import { cleanUp } from './verb-plans.ts';

const I = '/v1/projects/default/instances';
const SPEC = { image: 'busybox', isolation: 'vm', command: ['sleep', '1000'], stopSignal: 'SIGKILL', ports: [{ hostPort: 18_080, targetPort: 80 }], volumes: [{ volume: 'data', target: '/data' }] };
const MAKE = { meta: { name: 'subject' }, spec: { ...SPEC, running: true } };
const NAMED: ReadonlySet<string | undefined> = new Set(['stopped', 'running', 'failed', undefined]);

const SITES = [
  'instance.create/unit/before', 'instance.create/unit/after', 'instance.create/workload/after',
  'instance.update/limits/after', 'instance.stop/end/after', 'instance.delete/kill/after',
] as const;

describe('the daemon is killed where a microVM is made, started and ended', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  for (const site of SITES) {
    test(site, { timeout: 180_000 }, async () => {
      const verb = site.slice(0, site.indexOf('/'));
      if (verb !== 'instance.create') await daemon.ok('POST', `${I}?waitMs=60000`, MAKE);
      await daemon.restart({ killAt: site });
      const [method, url, body] = verb === 'instance.create' ? ['POST', `${I}?waitMs=60000`, MAKE] : verb === 'instance.update' ? ['PATCH', `${I}/subject`, { spec: { memoryBytes: 144 * 1024 * 1024 } }]
        : verb === 'instance.stop' ? ['POST', `${I}/subject/stop?waitMs=60000`] : ['DELETE', `${I}/subject?force=1&waitMs=60000`];
      await daemon.request(method as string, url as string, body).catch(() => undefined);
      await daemon.ended();
      await daemon.up();
      // What goes on after the start of a daemon (a stop, a deletion) is over in a while.
      let found = await daemon.instance('subject');
      await until(async () => NAMED.has((found = await daemon.instance('subject'))?.status.state), { deadlineMs: 60_000, what: 'a named state' });
      if (verb === 'instance.create' && found === undefined) await daemon.ok('POST', `${I}?waitMs=60000`, MAKE);
      if (verb === 'instance.create') assert.equal((await daemon.instance('subject')).status.state, 'running');
      if (verb === 'instance.update') assert.deepEqual([found?.status.state, found?.spec.memoryBytes, (await daemon.ok('GET', `${I}/-/stats`)).items[0].memoryLimitBytes], ['running', undefined, 256 * 1024 * 1024], 'taken back, in the spec and in the machine');
      if (verb === 'instance.stop') assert.equal(found?.status.state, 'stopped');
      if (verb === 'instance.delete') assert.equal(found, undefined);
      await cleanUp(daemon);
      await daemon.untilNoLeaks();
    });
  }
});
