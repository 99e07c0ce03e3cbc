import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { test } from 'node:test';
import { makeObjectId, type ObjectId } from '../../../model/ids.ts';
import { SHELL_PROGRAMS } from '../../../../test/lib/tiny-shell.ts';
import { RUNTIMES } from '../../../../test/lib/runtime-forms.ts';
import { runtimeContract, type PlanChoices, type RuntimeBench } from '../contract.ts';
import type { UnitPlan } from '../driver.ts';
import { FakeRuntimeHost, fakeRuntime } from './fake-runtime.ts';

function plan(args: readonly string[], choices: PlanChoices = {}): UnitPlan {
  const id = choices.id ?? makeObjectId(crypto.randomBytes(16));
  return {
    id, name: `t-${id}`, project: 'p', hostname: 'inside', form: 'appContainer', stdin: false, init: false, capabilities: [], noNewPrivileges: true, rlimits: [],
    resources: { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100, pids: 256 }, mounts: [], tmpfs: [], shmBytes: 1, sysctls: {}, stopSignal: 'SIGTERM',
    network: { interfaces: [], nameservers: [], searchDomains: [] }, log: { maxBytes: 1, maxFiles: 1 },
    ...choices,
    process: { args, env: ['PATH=/bin'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: false, ...choices.process },
    root: { layers: [], readOnly: false, volatile: false, ...choices.root },
  };
}

/** conmon's k8s-file: a last line without its end is tagged P. */
function asLogFile(host: FakeRuntimeHost, id: ObjectId): string {
  return (host.logs.get(id) ?? []).flatMap(({ atMs, stream, text }) => {
    const time = new Date(atMs).toISOString().replace(/Z$/, '000000+00:00');
    return text.split(/(?<=\n)/).map((line) => (line.endsWith('\n') ? `${time} ${stream} F ${line}` : `${time} ${stream} P ${line}\n`));
  }).join('');
}

function openBench(): Promise<RuntimeBench> {
  const host = new FakeRuntimeHost({
    forms: ['appContainer'], boundary: 'kernel', nowMs: () => Date.now(), programs: SHELL_PROGRAMS,
    after(delayMs, work) {
      const timer = setTimeout(work, delayMs);
      return () => { clearTimeout(timer); };
    },
    lookUp: (name) => (name === '/plain-file' ? 126 : /no-such|\/no\//.test(name) ? 127 : undefined),
  });
  let driver = fakeRuntime(host);
  return Promise.resolve({
    get driver() {
      return driver;
    },
    async reopen() {
      await driver[Symbol.asyncDispose]();
      return driver = fakeRuntime(host);
    },
    plan,
    volumeDir: () => { throw new TypeError('a fake has no volumes'); },
    readLog: (id) => asLogFile(host, id),
    async [Symbol.asyncDispose]() {
      for (const id of host.units.keys()) await driver.remove(id, { keepLog: false });
      await driver[Symbol.asyncDispose]();
    },
  });
}

runtimeContract('fake', openBench, RUNTIMES.fake.can);

test('a VM of a disk image has a screen and a power button, and nobody inside who could be asked for more', async () => {
  await using bench = await openBench();
  const { driver } = bench;
  const disk = { file: '/disk.raw', firmware: 'bios', preset: 'virtio', isoFiles: [] } as const;
  const unit = bench.plan(['no-such'], { form: 'vm', root: { disk } });
  await driver.create(unit);
  await driver.start(unit.id);
  const refused = { name: 'BerthError', code: 'unsupported', message: `${unit.name} has no agent: it runs a disk image.` };
  const plan = { args: ['true'], env: [], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: false, stdin: false, noNewPrivileges: true, capabilities: [] };
  await assert.rejects(driver.exec(unit.id, plan), refused);
  await assert.rejects(driver.copyOut(unit.id, { path: '/', followLink: false }), refused);
  await assert.rejects(driver.signal(unit.id, 'SIGTERM'), refused);
  assert.equal(Buffer.from(await driver.screenshot!(unit.id)).subarray(1, 4).toString(), 'PNG');
  await driver.powerOff!(unit.id);
  assert.equal((await driver.waitExit(unit.id)).reason, 'poweroff');
});
