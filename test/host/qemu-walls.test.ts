/**
 * G02, G03, G05, G07, G11: the walls around a machine's QEMU, each looked for from outside, and each missed where it was
 * left out when the machine was made.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { UnitInfo, UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { AgentLink } from '../../src/drivers/runtime/qemu/agent-link.ts';
import { qmpCommand } from '../../src/drivers/runtime/qemu/qmp.ts';
import type { LaunchPlan } from '../../src/drivers/runtime/qemu/vm-plan.ts';
import { connectUnix } from '../../src/host/unix-connect.ts';
import { BerthError } from '../../src/model/errors.ts';
import { writeTinyDisk } from '../lib/boot-sector.ts';
import { footholds, NAMESPACES, openDoors } from '../lib/footholds.ts';
import { withQemuBench, type QemuBench } from '../lib/qemu-bench.ts';
import { goesRed } from '../lib/red.ts';
import { until } from '../lib/until.ts';

const FIXTURES = path.resolve(import.meta.dirname, '../fixtures');
const NATIVE = path.resolve(import.meta.dirname, '../../native');
const SECRET = 'S3CR3T-of-the-workload';
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-walls-'));
const foothold = path.join(scratch, 'vm-foothold'), unwalled = path.join(scratch, 'berth-native');
before(() => {
  fs.chmodSync(scratch, 0o755);
  execFileSync('gcc', ['-std=gnu17', '-O1', '-D_GNU_SOURCE', '-static', '-o', foothold, path.join(FIXTURES, 'vm-foothold.c')]);
  execFileSync('gcc', ['-std=gnu17', '-O0', '-D_GNU_SOURCE', '-DRULE_VM_USER=0', '-DRULE_VM_NAMESPACES=0', '-static', '-o', unwalled, ...['main.c', 'vm.c', 'vm-ram.c', 'vm-share.c'].map((name) => path.join(NATIVE, name))]);
});
after(() => { fs.rmSync(scratch, { recursive: true }); });

const unitDir = (bench: QemuBench, { id }: UnitPlan): string => path.join(bench.runDir, 'v', id);
const sockets = (bench: QemuBench, plan: UnitPlan) => ({ agent: path.join(unitDir(bench, plan), 'agent.sock'), qmp: path.join(unitDir(bench, plan), 'qmp.sock') });

/** What worked from where QEMU is, as who it is. */
async function reached(pid: number, paths: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(foothold, [String(pid), ...paths], { timeout: 20_000 });
  return stdout.split('\n').filter((line) => line !== '');
}

/** A command that QEMU was made to run, as one does who speaks to its monitor: the filter ends it. */
async function spawnsNothing(bench: QemuBench, plan: UnitPlan, { process: qemu }: UnitInfo): Promise<readonly string[]> {
  await qmpCommand(sockets(bench, plan).qmp, 'migrate', { uri: 'exec:cat' }).catch(() => undefined);
  const killed = await until(() => !fs.existsSync(`/proc/${qemu.pid}/fd/0`), { deadlineMs: 5_000, what: 'the end of QEMU' }).then(() => true, () => false);
  return killed ? [] : ['sandbox'];
}

async function missingWalls(bench: QemuBench, plan: UnitPlan, { process: { pid } }: UnitInfo, others: readonly string[], ...own: readonly [ownFiles?: RegExp, ownNames?: readonly string[]]): Promise<readonly string[]> {
  const groups = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n').filter((line) => line.endsWith(`berth-${bench.rootTag}/${plan.id}`));
  return [
    ...footholds(pid, ...own), ...openDoors(pid, unitDir(bench, plan), [SECRET]), ...(groups.length > 0 ? [] : ['cgroup']),
    ...await reached(pid, ['/etc/shadow', '/etc/hostname', '/proc/1/environ', '/dev/kmsg', '/dev/mem', '/dev/net/tun', ...others]),
  ];
}

/** A guest wrote this onto its raw disk: the header of a small qcow2 with a file of the host behind it. ext4 does not use that place. */
function forgeHeader(disk: string): void {
  const header = Buffer.alloc(1024);
  header.write('QFI\u00fb', 0, 'latin1');
  for (const [at, value] of [[4, 2], [16, '/etc/hostname'.length], [20, 9], [36, 1], [56, 1]] as const) header.writeUInt32BE(value, at);
  for (const [at, value] of [[8, 128n], [24, 32_768n], [40, 512n], [48, 512n]] as const) header.writeBigUInt64BE(value, at);
  header.write('/etc/hostname', 128, 'latin1');
  const file = fs.openSync(disk, 'r+');
  fs.writeSync(file, header, 0, header.length, 0);
  fs.closeSync(file);
}

/** QEMU takes it for what it is. */
async function staysRaw(qmp: string): Promise<void> {
  const nodes = await qmpCommand(qmp, 'query-named-block-nodes', { flat: true }) as readonly { readonly drv: string; readonly backing_file?: string }[];
  assert.ok(nodes.length >= 2, 'its disks');
  assert.deepEqual(nodes.filter(({ drv, backing_file }) => !['raw', 'file'].includes(drv) || backing_file !== undefined), []);
}

/** Filter, control group and limits left out; files of the host and doors that nobody needs put in. */
const leftOut = (plan: LaunchPlan): LaunchPlan => ({
  ...plan, cgroupFiles: [], rlimits: [], binds: [...plan.binds, { source: '/etc/hostname', target: '/home/hostname' }, { source: '/etc/hostname', target: '/etc/hostname' }],
  sockets: [...plan.sockets, { fd: 60, name: 'open.sock' }],
  args: [...plan.args.filter((_, at) => !/^-sandbox$/.test(plan.args[at]!) && plan.args[at - 1] !== '-sandbox'), '-qmp', 'tcp:127.0.0.1:0,server=on,wait=off', '-fw_cfg', `name=opt/x,string=${SECRET}`],
});

const plans = (bench: QemuBench, count: number): readonly UnitPlan[] => Array.from({ length: count }, () => bench.plan(['sleep', '1000'], {
  root: { upperDisk: bench.disk() }, process: { args: ['sleep', '1000'], env: ['PATH=/bin', `TOKEN=${SECRET}`] },
}));

test('G02, G03, G05, G07, G11: from where QEMU is nothing is reached but its own machine', { timeout: 240_000 }, () => withQemuBench(async (bench) => {
  const [one, other] = plans(bench, 2) as [UnitPlan, UnitPlan];
  forgeHeader(one.root.upperDisk!);
  const info = await bench.driver.create(one), otherInfo = await bench.driver.create(other);
  const foreign = [other.root.upperDisk!, ...Object.values(sockets(bench, other)), path.join(unitDir(bench, other), 'vm.plan'), bench.image, `/proc/${otherInfo.process.pid}/environ`];
  assert.deepEqual(await missingWalls(bench, one, info, foreign), []);

  // G02: what one machine is asked with is worth nothing at another's.
  const nonceOf = (plan: UnitPlan): string => (JSON.parse(fs.readFileSync(path.join(unitDir(bench, plan), 'unit.json'), 'utf8')) as { nonce: string }).nonce;
  await bench.reopen();
  await assert.rejects(AgentLink.connect(sockets(bench, one).agent, nonceOf(other), 1_000), (error: unknown) => error instanceof BerthError && error.code === 'timeout');
  (await AgentLink.connect(sockets(bench, one).agent, nonceOf(one), 10_000))[Symbol.dispose]();
  assert.doesNotMatch(fs.readFileSync(`/proc/${info.process.pid}/cmdline`, 'latin1'), /vsock|9p|hostfwd|,user,/);

  await staysRaw(sockets(bench, one).qmp);
  // Who holds the monitor of one machine open holds nobody up for long.
  await bench.driver.start(one.id);
  const held = await connectUnix(sockets(bench, one).qmp), begin = performance.now();
  await assert.rejects(bench.driver.pause(one.id), (error: unknown) => error instanceof BerthError && error.code === 'timeout');
  assert.ok(performance.now() - begin < 15_000);
  held.destroy();

  // G11: it falls, by a signal that dumps memory, and leaves neither memory nor files behind.
  assert.deepEqual(await spawnsNothing(bench, one, info), []);
  const exit = await bench.driver.waitExit(one.id, AbortSignal.timeout(20_000));
  assert.deepEqual([exit.exitCode, exit.reason], [128 + os.constants.signals.SIGSYS, 'killed']);
  const left = fs.readdirSync(unitDir(bench, one)).map((name) => path.join(unitDir(bench, one), name)).filter((file) => fs.lstatSync(file).size > 512 * 1024);
  assert.deepEqual([left, fs.existsSync('core')], [[], false]);
  assert.match(fs.readFileSync(`/proc/${otherInfo.process.pid}/cmdline`, 'latin1'), /dump-guest-core=off/);
}));

test('G03, G07, G11 go red without user, namespaces and rights', { timeout: 240_000 }, () => withQemuBench(async (bench) => {
  const [plan] = plans(bench, 1) as [UnitPlan];
  const found = await missingWalls(bench, plan, await bench.driver.create(plan), []);
  for (const wall of ['user', 'CapEff', 'CapPrm', 'CapBnd', ...NAMESPACES.filter((name) => name !== 'mnt'), 'socket tcp', 'socket packet', 'mount']) assert.ok(found.includes(wall), `${wall}: ${found.join()}`);
  // Of the host itself everything would be noticed.
  const host = await reached(process.pid, ['/etc/shadow', plan.root.upperDisk!]);
  assert.deepEqual(host.slice(0, 2), ['read /etc/shadow', `read ${plan.root.upperDisk!}`]);
}, { nativeProgram: unwalled }));

test('G02, G03, G07 go red without filter, control group, limits, and with a monitor at a port or a secret word', { timeout: 240_000 }, () => withQemuBench(async (bench) => {
  const [plan] = plans(bench, 1) as [UnitPlan];
  const info = await bench.driver.create(plan);
  const found = await missingWalls(bench, plan, info, []);
  for (const wall of ['Seccomp', 'cgroup', 'core', 'tcp', 'secret', 'unix open.sock', 'root', 'read /etc/hostname']) assert.ok(found.includes(wall), `${wall}: ${found.join()}`);
  assert.deepEqual(await spawnsNothing(bench, plan, info), ['sandbox']);
}, { guards: { launch: leftOut } }));

/** Whatever a machine is of: how it is made, and what it has that the others have not. */
type Kind = 'a microVM that booted' | 'a microVM that resumed from a template' | 'a VM of an image' | 'a VM of a disk, with a BIOS' | 'a VM of a disk, with UEFI';
const DISK_FILES = /\/(disk\.raw|vars\.fd|seed\.iso|own\.iso|OVMF_CODE_4M\.fd|null|pts\/\d+)$/;
const KINDS: Readonly<Record<Kind, { readonly own: readonly [ownFiles?: RegExp, ownNames?: readonly string[]] }>> = {
  'a microVM that booted': { own: [] },
  'a microVM that resumed from a template': { own: [/\/(root\.erofs|upper-\d\.ext4|null|ram)$/, ['ram']] },
  'a VM of an image': { own: [/\/(root\.erofs|upper-\d\.ext4|null|pts\/\d+)$/] },
  'a VM of a disk, with a BIOS': { own: [DISK_FILES] },
  'a VM of a disk, with UEFI': { own: [DISK_FILES] },
};

function planOf(bench: QemuBench, kind: Kind): UnitPlan {
  if (kind.startsWith('a microVM')) return plans(bench, 1)[0]!;
  const resources = { memoryBytes: 128 * 1024 * 1024, cpuWeight: 100 };
  if (kind === 'a VM of an image') return bench.plan(['/bin/sh', '-c', 'sleep 1000'], { form: 'vm', noNewPrivileges: false, boot: { users: [], files: [], commands: [] }, resources, process: { terminal: true, env: ['PATH=/bin', `TOKEN=${SECRET}`] }, root: { upperDisk: bench.disk() } });
  const uefi = kind.endsWith('UEFI'), file = path.join(bench.rootDir, uefi ? 'uefi' : 'bios', 'disk.raw'), iso = path.join(bench.rootDir, 'own.iso');
  writeTinyDisk(file);
  fs.writeFileSync(iso, Buffer.alloc(64 * 1024));
  const disk = { file, firmware: uefi ? 'uefi' : 'bios', preset: uefi ? 'ahci-e1000' : 'virtio', isoFiles: [iso], seed: { metaData: 'instance-id: i\n', userData: `#cloud-config\n{"x":"${SECRET}"}\n` } } as const;
  return bench.plan([], { form: 'vm', stdin: true, process: { terminal: true }, resources, root: { imageFile: undefined, disk } });
}

/** All kinds at once, each from where its own QEMU is: what is not there of its walls, and what it reaches of the others. */
async function table(bench: QemuBench): Promise<Readonly<Record<Kind, readonly string[]>>> {
  const made: { readonly kind: Kind; readonly plan: UnitPlan; readonly info: UnitInfo }[] = [];
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const plan = planOf(bench, kind), info = await bench.driver.create(plan);
    if (kind.startsWith('a microVM')) assert.equal(info.start, kind.endsWith('template') ? 'warm' : 'cold', kind);
    if (kind === 'a microVM that booted') await bench.driver.templatesMade();
    made.push({ kind, plan, info });
  }
  const ownOf = ({ plan }: typeof made[number]): readonly string[] => [plan.root.upperDisk ?? plan.root.disk!.file, ...fs.readdirSync(unitDir(bench, plan)).filter((name) => /sock$|plan$|json$/.test(name)).map((name) => path.join(unitDir(bench, plan), name))];
  const templates = fs.readdirSync(path.join(bench.rootDir, 'templates'), { recursive: true, encoding: 'utf8' }).map((name) => path.join(bench.rootDir, 'templates', name)).filter((file) => fs.statSync(file).isFile());
  assert.ok(templates.length > 0);
  const found: Partial<Record<Kind, readonly string[]>> = {};
  for (const one of made) {
    const others = made.filter((other) => other !== one);
    const shared = others.some((other) => fs.statSync(`/proc/${other.info.process.pid}`).uid === fs.statSync(`/proc/${one.info.process.pid}`).uid);
    const missing = await missingWalls(bench, one.plan, one.info, [...others.flatMap(ownOf), ...others.map(({ info }) => `/proc/${info.process.pid}/environ`), ...templates], ...KINDS[one.kind].own);
    found[one.kind] = [...missing, ...(shared ? ['shared user'] : [])];
  }
  for (const one of made) found[one.kind] = [...found[one.kind]!, ...await spawnsNothing(bench, one.plan, one.info)];
  return found as Record<Kind, readonly string[]>;
}

test('G02, G03, G07, G11: the same walls around every kind of machine: booted or resumed, of an image or of a disk', { timeout: 300_000 }, () => withQemuBench(async (bench) => {
  assert.deepEqual(await table(bench), Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, []])));
}, { warmStart: 'project', templateDelayMs: 0 }));

test('G02, G03, G07, G11 go red for every kind of machine: each wall is missed where it was left out', { timeout: 300_000 }, () => withQemuBench(async (bench) => {
  for (const [kind, found] of Object.entries(await table(bench))) {
    // Who resumes has a second filter, which answers for the file of its memory (native/vm-ram.c); that it spawns shows all the same.
    for (const wall of ['user', 'shared user', 'CapEff', ...(kind.endsWith('template') ? [] : ['Seccomp']), ...NAMESPACES.filter((name) => name !== 'mnt'), 'cgroup', 'core', 'tcp', 'secret', 'unix open.sock', 'root', 'socket tcp', 'socket packet', 'mount', 'sandbox']) assert.ok(found.includes(wall), `${kind}, ${wall}: ${found.join()}`);
  }
}, { warmStart: 'project', templateDelayMs: 0, nativeProgram: unwalled, guards: { launch: leftOut } }));

test('G05 goes red where QEMU may guess what a disk is', { timeout: 60_000 }, async () => {
  const disk = path.join(scratch, 'disk'), qmp = path.join(scratch, 'guess.sock');
  fs.writeFileSync(disk, '');
  fs.truncateSync(disk, 1024 * 1024);
  forgeHeader(disk);
  const qemu = spawn('/usr/bin/qemu-system-x86_64', ['-nodefaults', '-no-user-config', '-display', 'none', '-M', 'none', '-drive', `file=${disk},if=none,id=upper`, '-qmp', `unix:${qmp},server=on,wait=off`], { stdio: 'ignore' });
  const gone = new Promise((resolve) => qemu.once('close', resolve));
  try {
    await until(() => fs.existsSync(qmp), { deadlineMs: 20_000, what: 'its monitor' });
    await goesRed(() => staysRaw(qmp));
  } finally {
    qemu.kill('SIGKILL');
    await gone;
  }
});
