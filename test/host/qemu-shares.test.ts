/**
 * Directories in machines, by the virtiofsd of Debian 13: the same bytes and users as a container has, and nothing else of
 * the host, whatever the guest does (A05, G03, G08, G11 for the process that serves them).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { MountPlan, UnitPlan } from '../../src/drivers/runtime/driver.ts';
import type { VirtiofsdProgram } from '../../src/host/virtiofsd.ts';
import { openControlGroups } from '../../src/host/cgroup.ts';
import { identify, isAlive } from '../../src/host/process.ts';
import { BerthError } from '../../src/model/errors.ts';
import { withQemuBench, type QemuBench } from '../lib/qemu-bench.ts';
import { until } from '../lib/until.ts';
import { virtiofsdOfTrixie } from '../lib/virtiofsd.ts';

const FIXTURES = path.resolve(import.meta.dirname, '../fixtures'), NATIVE = path.resolve(import.meta.dirname, '../../native');
const SECRET = 'S3CR3T-of-the-host';
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-shares-'));
const attributes = path.join(scratch, 'share-guest'), unwalled = path.join(scratch, 'berth-native');
let virtiofsd: VirtiofsdProgram;
before(async () => {
  fs.writeFileSync(path.join(scratch, 'secret'), SECRET);
  execFileSync('gcc', ['-std=gnu17', '-O1', '-D_GNU_SOURCE', '-static', '-o', attributes, path.join(FIXTURES, 'share-guest.c')]);
  execFileSync('gcc', ['-std=gnu17', '-O0', '-D_GNU_SOURCE', '-DRULE_SHARE_WALLS=0', '-DRULE_SHARE_READ_ONLY=0', '-static', '-o', unwalled, ...['main.c', 'vm.c', 'vm-ram.c', 'vm-share.c'].map((name) => path.join(NATIVE, name))]);
  virtiofsd = await virtiofsdOfTrixie();
});
after(() => { fs.rmSync(scratch, { recursive: true }); });

/** What root of a guest can do to the mount that its agent made. */
const WRITABLE = 'mount -o remount,rw /fixed && grep -q " /fixed virtiofs rw" /proc/mounts && echo writable';

interface Shared {
  readonly plan: UnitPlan;
  readonly data: string;
  readonly fixed: string;
  /** Of the virtiofsd, in the order of the mounts. */
  readonly servers: readonly number[];
}

/** Not looked for: that takes seconds. */
const EMULATED = async () => ({ accelerator: 'tcg' as const, reason: '' });
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'MKNOD', 'SYS_ADMIN', 'KILL', 'SETFCAP'];

/** A machine with `data` at /data and `fixed` at /fixed, which is read-only. */
async function sharing(bench: QemuBench): Promise<Shared> {
  const [data, fixed] = ['data', 'fixed'].map((name) => fs.mkdtempSync(path.join(bench.rootDir, name))) as [string, string];
  for (const dir of [data, fixed]) fs.chmodSync(dir, 0o755);
  fs.writeFileSync(path.join(data, 'from-host'), 'hello\n');
  fs.chownSync(path.join(data, 'from-host'), 1000, 1000);
  fs.writeFileSync(path.join(fixed, 'kept'), 'kept\n');
  fs.copyFileSync(attributes, path.join(data, 'share-guest'));
  const mounts: MountPlan[] = [{ source: data, target: '/data', readOnly: false }, { source: fixed, target: '/fixed', readOnly: true }];
  const plan = bench.plan(['sleep', '1000'], { mounts, capabilities: CAPABILITIES });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  return { plan, data, fixed, servers: serversOf(bench, plan) };
}

function serversOf(bench: QemuBench, { id }: UnitPlan): readonly number[] {
  using groups = openControlGroups(`berth-${bench.rootTag}`);
  return groups.pids(id).filter((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('--shared-dir')).sort((a, b) => a - b);
}

async function inside(bench: QemuBench, { plan }: Shared, script: string): Promise<string> {
  const { stdout, stderr } = await bench.exec(plan.id, ['sh', '-c', script], { capabilities: CAPABILITIES.map((name) => `CAP_${name}`) });
  return stdout + stderr;
}

const idMap = (pid: number): readonly number[] => fs.readFileSync(`/proc/${pid}/uid_map`, 'latin1').trim().split(/\s+/).map(Number);

/** What somebody who took this virtiofsd over could build on. */
function footholds(pid: number, dir: string, writable: boolean): readonly string[] {
  const status = Object.fromEntries(fs.readFileSync(`/proc/${pid}/status`, 'utf8').split('\n').map((line) => line.split(':\t')));
  const [inner, outer, count] = idMap(pid);
  const uids = new Set(status['Uid']!.split('\t').map(Number)), rights = BigInt(`0x${status['CapBnd']!}`) | BigInt(`0x${status['CapPrm']!}`);
  // CHOWN DAC_OVERRIDE FOWNER FSETID SETGID SETUID
  const beyond = rights & ~0b1101_1011n;
  const mounts = fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trim().split('\n').map((line) => line.split(' '));
  const files = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`)).filter((target) => target.startsWith('/'));
  return [
    ...(inner === 0 && count === 65_536 && outer! >= 0x10000000 ? [] : ['ids']), ...(uids.size === 1 && uids.has(outer!) && outer !== 0 ? [] : ['user']),
    ...(beyond === 0n && status['CapInh'] === status['CapAmb'] ? [] : ['capabilities']), ...(status['Groups']?.trim() === '' ? [] : ['groups']),
    ...(status['NoNewPrivs'] === '1' ? [] : ['NoNewPrivs']), ...(status['Seccomp'] === '2' ? [] : ['Seccomp']),
    ...['mnt', 'net', 'ipc', 'uts', 'pid', 'user'].filter((kind) => fs.readlinkSync(`/proc/${pid}/ns/${kind}`) === fs.readlinkSync(`/proc/self/ns/${kind}`)),
    ...(fs.readdirSync(`/proc/${pid}/root`).join() === fs.readdirSync(dir).join() ? [] : ['root']),
    // Everything else in its namespace is read-only, and nothing in there is from outside but programs and libraries.
    ...mounts.filter(([, , , , , options]) => !options!.startsWith('ro,nosuid')).length === (writable ? 1 : 0) ? [] : ['writable mounts'],
    ...(mounts.every(([, , , , , options]) => options!.includes('nosuid')) ? [] : ['nosuid']),
    ...files.filter((target) => !/^\/(dev\/null|proc\/1\/(fd|mountinfo)|share(\/.*)?|memfd:memory-backend-memfd \(deleted\))?$/.test(target)).map((target) => `file ${target}`),
    ...(/^Max core file size\s+0\s+0/m.test(fs.readFileSync(`/proc/${pid}/limits`, 'utf8')) ? [] : ['core']),
  ];
}

test('the same bytes, users and attributes inside and outside; a hostile guest reaches nothing beside them', { timeout: 180_000 }, () => withQemuBench(async (bench) => {
  const shared = await sharing(bench), { data, fixed, servers, plan } = shared;
  const look = (script: string): Promise<string> => inside(bench, shared, script);
  assert.match(await look('grep -E " /(data|fixed) " /proc/mounts'), /^s0 \/data virtiofs rw,nosuid,nodev,relatime 0 0\ns1 \/fixed virtiofs ro,nosuid,nodev,relatime 0 0\n$/);
  assert.equal(await look('stat -c "%u %g" /data/from-host; cat /data/from-host /fixed/kept; echo inside > /data/from-inside; chown 33:34 /data/from-inside; chmod 640 /data/from-inside; stat -c "%u:%g %a" /data/from-inside'), '1000 1000\nhello\nkept\n33:34 640\n');
  const { uid, gid, mode } = fs.statSync(path.join(data, 'from-inside'));
  assert.deepEqual([uid, gid, mode & 0o777, fs.readFileSync(path.join(data, 'from-inside'), 'utf8')], [33, 34, 0o640, 'inside\n']);
  assert.match(await look('chown 70000 /data/from-inside'), /Invalid argument/);
  // What another wrote is there when what the guest remembers is two seconds old; a busy host has longer ones.
  fs.appendFileSync(path.join(data, 'from-inside'), 'outside\n');
  assert.equal(await look('for i in 1 2 3 4 5 6 7 8 9; do grep -q outside /data/from-inside && break; sleep 1; done; cat /data/from-inside; mv /data/from-inside /data/moved; ln /data/moved /data/linked; stat -c %h /data/linked'), 'inside\noutside\n2\n');
  assert.deepEqual([fs.existsSync(path.join(data, 'from-inside')), fs.statSync(path.join(data, 'linked')).nlink], [false, 2]);
  assert.equal(await look('/data/share-guest set /data/moved user.berth yes; /data/share-guest set /data/moved trusted.berth no'), 'set\nOperation not permitted\n');
  assert.equal(execFileSync(attributes, ['get', path.join(data, 'moved'), 'user.berth'], { encoding: 'utf8' }), 'yes\n');

  // A05 and its like: links out of it lead to the guest's own files, devices are none, rights of owners do not act.
  fs.symlinkSync(path.join(scratch, 'secret'), path.join(data, 'absolute'));
  fs.symlinkSync(`${'../'.repeat(12)}${path.join(scratch, 'secret').slice(1)}`, path.join(data, 'upwards'));
  execFileSync('mknod', ['-m', '666', path.join(data, 'kmsg'), 'c', '1', '11']);
  const tried = await look([
    'cat /data/absolute /data/upwards', 'ls /data/../data/..', 'ln -s / /data/root', 'ls /data/root', 'cat /data/kmsg', 'mknod /data/zero c 1 5', 'mkfifo /data/fifo && echo fifo made',
    'cp /bin/busybox /data/su && chmod 4755 /data/su && echo set-user-id kept', 'ln /data/absolute /data/hard && cat /data/hard',
  ].map((one) => `${one} 2>&1`).join('; '));
  assert.ok(!tried.includes(SECRET) && !tried.includes('berth-shares'), tried);
  assert.match(tried, /kmsg': Permission denied|kmsg: Permission denied/);
  assert.match(tried, /zero: Operation not permitted/);
  assert.match(tried, /fifo made\nset-user-id kept\n/);
  assert.deepEqual([fs.readlinkSync(path.join(data, 'root')), fs.lstatSync(path.join(data, 'fifo')).isFIFO()], ['/', true]);

  // Read-only is the host's: a guest that makes it writable to itself may not write either.
  const written = await look(`${WRITABLE}; echo x > /fixed/kept; touch /fixed/new; rm /fixed/kept; chmod 777 /fixed`);
  assert.match(written, /^writable\n/);
  assert.equal((written.match(/Read-only file system/g) ?? []).length, 4, written);
  assert.deepEqual([fs.readdirSync(fixed), fs.readFileSync(path.join(fixed, 'kept'), 'utf8')], [['kept'], 'kept\n']);

  assert.equal(servers.length, 2);
  assert.deepEqual(footholds(servers[0]!, data, true), []);
  assert.deepEqual(footholds(servers[1]!, fixed, false), []);

  // Another daemon finds it; nothing of it is left over, and its ids stay its own.
  await bench.reopen();
  assert.equal((await bench.driver.observe(plan.id)).state, 'running');
  assert.equal(await look('cat /fixed/kept'), 'kept\n');
  assert.deepEqual(await bench.driver.leftovers(new Set([plan.id])), []);
  assert.deepEqual(await bench.driver.leftovers(new Set()).then((found) => found.filter((one) => one.includes(plan.id)).length > 0), true);

  // G11: it falls, and the machine that would wait for its answers without end falls with it.
  const ids = servers.map((pid) => identify(pid)!);
  process.kill(servers[0]!, 'SIGKILL');
  const begin = performance.now(), exit = await bench.driver.waitExit(plan.id, AbortSignal.timeout(20_000));
  assert.deepEqual([exit.exitCode, exit.reason], [137, 'killed']);
  assert.ok(performance.now() - begin < 10_000);
  await until(() => ids.every((one) => !isAlive(one)), { deadlineMs: 10_000, what: 'the end of its neighbour' });
  await bench.driver.remove(plan.id, { keepLog: false });
  assert.deepEqual(await bench.driver.leftovers(new Set()), []);
}, { virtiofsd, accelerator: EMULATED }));

test('G08: one that answers no more holds the guest up, and no verb: the machine ends when it is told to, and leaves no process', { timeout: 120_000 }, () => withQemuBench(async (bench) => {
  const shared = await sharing(bench), ids = shared.servers.map((pid) => identify(pid)!);
  for (const pid of shared.servers) process.kill(pid, 'SIGSTOP');
  const stuck = bench.exec(shared.plan.id, ['cat', '/data/share-guest']).catch(() => undefined);
  const begin = performance.now();
  await bench.driver.signal(shared.plan.id, 'SIGKILL');
  assert.equal((await bench.driver.waitExit(shared.plan.id, AbortSignal.timeout(30_000))).exitCode, 137);
  await stuck;
  await bench.driver.remove(shared.plan.id, { keepLog: false });
  assert.ok(performance.now() - begin < 30_000);
  assert.deepEqual([ids.filter((one) => isAlive(one)), await bench.driver.leftovers(new Set())], [[], []]);
}, { virtiofsd, accelerator: EMULATED, deadlines: { answerMs: 2_000 } }));

test('G03 goes red without its walls: it is root of the host, and the guest writes what it may only read', { timeout: 120_000 }, () => withQemuBench(async (bench) => {
  const shared = await sharing(bench);
  const found = footholds(shared.servers[0]!, shared.data, true);
  for (const wall of ['ids', 'user', 'net', 'ipc']) assert.ok(found.includes(wall), `${wall}: ${found.join()}`);
  assert.equal(await inside(bench, shared, `${WRITABLE}; echo x > /fixed/kept`), 'writable\n');
  assert.equal(fs.readFileSync(path.join(shared.fixed, 'kept'), 'utf8'), 'x\n');
}, { virtiofsd, nativeProgram: unwalled, accelerator: EMULATED }));

test('a host without it says so before anything is made, with the way out; a disk image shares nothing', { timeout: 60_000 }, () => withQemuBench(async (bench) => {
  const mounts: MountPlan[] = [{ source: scratch, target: '/v', readOnly: false }];
  const refused = (error: unknown): boolean => error instanceof BerthError && error.code === 'unsupported' && /virtio-fs/.test(error.message) && /--type block/.test(error.hint!);
  await assert.rejects(bench.driver.create(bench.plan(['true'], { mounts })), refused);
  const available = await bench.driver.available('microVM');
  assert.ok(available.ok && /has no \/nowhere/.test(available.noDirectories!.reason));
  const disk = { file: '/dev/null', firmware: 'bios', preset: 'virtio', isoFiles: [] } as const;
  await assert.rejects(bench.driver.create(bench.plan([], { form: 'vm', mounts, root: { disk } })), { code: 'unsupported', message: /disk image shares no directory/ });
  assert.deepEqual(await bench.driver.leftovers(new Set()), []);
}, { virtiofsd: { command: ['/nowhere/virtiofsd'], binds: [] }, accelerator: EMULATED }));
