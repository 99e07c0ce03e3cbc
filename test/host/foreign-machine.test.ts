/** Machines of disk images on a real QEMU: a system of one sector shows what is true of all of them. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import type { DiskRootPlan, IoSession, RuntimeDriver, UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { DEBIAN_FIRMWARE } from '../../src/drivers/runtime/qemu/firmware.ts';
import { qmpCommand } from '../../src/drivers/runtime/qemu/qmp.ts';
import { identify } from '../../src/host/process.ts';
import { BerthError, type ErrorCode } from '../../src/model/errors.ts';
import { GREETING, SECTOR, writeTinyDisk } from '../lib/boot-sector.ts';
import { execPlan, logText } from '../lib/crun-bench.ts';
import { footholds } from '../lib/footholds.ts';
import { withQemuBench, type QemuBench } from '../lib/qemu-bench.ts';
import { goesRed } from '../lib/red.ts';
import { decodePng } from '../lib/png-dots.ts';
import { until } from '../lib/until.ts';

const MIB = 1024 * 1024, DEADLINE_MS = 60_000;
const OWN_FILES = /\/(disk\.raw|vars\.fd|seed\.iso|own\.iso|OVMF_CODE_4M\.fd|null|pts\/\d+)$/;

function foreign(bench: QemuBench, name: string, wish: Partial<DiskRootPlan> = {}, more: Partial<UnitPlan> = {}): UnitPlan {
  const file = path.join(bench.rootDir, name, 'disk.raw');
  if (!fs.existsSync(file)) writeTinyDisk(file);
  return bench.plan([], {
    form: 'vm', stdin: true, process: { terminal: true }, resources: { memoryBytes: 128 * MIB, cpuWeight: 100 }, ...more,
    root: { imageFile: undefined, disk: { file, firmware: 'bios', preset: 'virtio', isoFiles: [], ...wish } },
  });
}

const said = async (driver: RuntimeDriver, plan: UnitPlan): Promise<string> => logText(await driver.logFiles(plan.id)).stdout;
const hears = (driver: RuntimeDriver, plan: UnitPlan, words: string): Promise<unknown> =>
  until(async () => (await said(driver, plan)).includes(words), { what: `'${words}' on the console`, deadlineMs: DEADLINE_MS });
const refusedAs = (code: ErrorCode) => (error: unknown): boolean => error instanceof BerthError && error.code === code;

async function boot(bench: QemuBench, plan: UnitPlan): Promise<IoSession> {
  await bench.driver.create(plan);
  const console_ = await bench.driver.attach(plan.id);
  await bench.driver.start(plan.id);
  await hears(bench.driver, plan, GREETING);
  return console_;
}

/** Version 2 (qemu's docs/interop/qcow2.txt), 4 MiB, with the name of what lies below. */
function qcow2Header(backing: string): Buffer {
  const header = Buffer.alloc(SECTOR);
  header.write('QFI\xfb', 'latin1');
  header.writeUInt32BE(2, 4);
  header.writeBigUInt64BE(72n, 8);
  header.writeUInt32BE(backing.length, 16);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(BigInt(4 * MIB), 24);
  header.writeUInt32BE(1, 36);
  header.writeBigUInt64BE(0x30000n, 40);
  header.writeBigUInt64BE(0x10000n, 48);
  header.writeUInt32BE(1, 56);
  header.write(backing, 72);
  return header;
}

const end = (bench: QemuBench, plan: UnitPlan) => bench.driver.waitExit(plan.id, AbortSignal.timeout(DEADLINE_MS)).then(({ exitCode, reason }) => ({ exitCode, reason }));

test('a disk boots, on either set of devices; its end is told for what it was', { timeout: 300_000 }, () => withQemuBench(async (bench) => {
  for (const preset of ['virtio', 'ahci-e1000'] as const) {
    const plan = foreign(bench, preset, { preset });
    // Sleep on disk is a power-off: its next start wakes it.
    const ends = { p: { exitCode: 0, reason: 'poweroff' }, h: { exitCode: 0, reason: 'poweroff' }, r: { exitCode: 0, reason: 'reboot' }, c: { exitCode: 1, reason: 'panic' } };
    for (const [letter, expected] of preset === 'virtio' ? Object.entries(ends) : [['p', ends.p] as const]) {
      const console_ = await boot(bench, plan);
      await console_.write(Buffer.from(letter));
      assert.deepEqual(await end(bench, plan), expected);
      await console_.close();
      await bench.driver.remove(plan.id, { keepLog: false });
    }
  }
}));

test('its life from outside: frozen until it is started, console, screen, power button, pause, the next daemon; no word of an agent', { timeout: 300_000 }, () => withQemuBench(async (bench) => {
  const plan = foreign(bench, 'one');
  const info = await bench.driver.create(plan);
  assert.deepEqual([info.kernel, (await bench.driver.observe(plan.id)).state], [undefined, 'created']);
  const console_ = await bench.driver.attach(plan.id);
  const heard = (async () => { let all = ''; for await (const chunk of console_.output) all += Buffer.from(chunk.data).toString('latin1'); return all; })();
  await bench.driver.start(plan.id);
  await hears(bench.driver, plan, GREETING);
  await console_.write(Buffer.from('x'));
  await hears(bench.driver, plan, 'x');
  for (const asked of [
    bench.driver.exec(plan.id, execPlan(['true'])), bench.driver.copyOut(plan.id, { path: '/', followLink: false }), bench.driver.booted(plan.id, 1_000), bench.driver.signal(plan.id, 'SIGTERM'),
    bench.driver.resize(plan.id, { rows: 24, columns: 80 }),
  ]) await assert.rejects(asked, { code: 'unsupported', message: `${plan.name} has no agent: it runs a disk image.` });
  // Nobody in it answers the balloon: nothing is claimed to have changed.
  await assert.rejects(bench.driver.update(plan.id, { memoryBytes: 100 * MIB, cpuWeight: 100 }), refusedAs('unsupported'));
  await bench.driver.update(plan.id, { memoryBytes: 128 * MIB, cpus: 0.5, cpuWeight: 100 });
  const stats = (await bench.driver.stats([plan.id])).get(plan.id)!;
  assert.ok(stats.memoryBytes > 8 * MIB && stats.cpuNanoseconds > 0 && stats.pids === 0 && stats.memoryLimitBytes === 128 * MIB);

  for (let shot = 0; shot < 2; shot++) {
    const { width, height, colours } = decodePng(await bench.driver.screenshot(plan.id));
    assert.deepEqual([width, height], [720, 400]);
    // Text in grey on black, little of it.
    assert.ok(colours.get('#a8a8a8')! > 200 && colours.get('#000000')! > width * height * 0.9, JSON.stringify([...colours]));
  }
  // No descriptor stays behind in QEMU: only the disk's.
  const sets = await qmpCommand(path.join(bench.runDir, 'v', plan.id, 'qmp.sock'), 'query-fdsets') as readonly { readonly 'fdset-id': number }[];
  assert.deepEqual(sets.map((one) => one['fdset-id']), [5]);

  const driver = await bench.reopen();
  assert.deepEqual(await driver.observe(plan.id), { state: 'running', info });
  await driver.pause(plan.id);
  assert.equal((await driver.observe(plan.id)).state, 'paused');
  await driver.resume(plan.id);
  await driver.powerOff(plan.id);
  assert.deepEqual(await end(bench, plan), { exitCode: 0, reason: 'poweroff' });
  assert.match(await heard, new RegExp(`${GREETING}[^]*xB`));
  await assert.rejects(driver.screenshot(plan.id), refusedAs('wrongState'));
}));

test('G03 for disk images: a user of its own, no rights, a filter, a jail; disks of others are out of reach', { timeout: 300_000 }, () => withQemuBench(async (bench) => {
  const iso = path.join(bench.rootDir, 'own.iso');
  fs.writeFileSync(iso, Buffer.alloc(64 * 1024));
  const seed = { metaData: 'instance-id: i\n', userData: '#cloud-config\n{}\n' };
  const plans = [foreign(bench, 'a', { firmware: 'uefi', isoFiles: [iso], seed }), foreign(bench, 'b', { preset: 'ahci-e1000', isoFiles: [iso], seed })];
  const infos = [];
  for (const plan of plans) infos.push(await bench.driver.create(plan));
  for (const { process: qemu } of infos) {
    assert.deepEqual(footholds(qemu.pid, OWN_FILES), []);
    assert.doesNotMatch(fs.readFileSync(`/proc/${qemu.pid}/net/tcp`, 'utf8'), /^ *\d+:/m);
    for (const fd of fs.readdirSync(`/proc/${qemu.pid}/fd`)) {
      const target = fs.readlinkSync(`/proc/${qemu.pid}/fd/${fd}`), flags = /^flags:\t(\d+)$/m.exec(fs.readFileSync(`/proc/${qemu.pid}/fdinfo/${fd}`, 'utf8'))![1]!;
      if (OWN_FILES.test(target) && !target.startsWith('/dev/')) assert.equal((Number.parseInt(flags, 8) & 3) === 0, !/(disk\.raw|vars\.fd)$/.test(target), `${target} ${flags}`);
    }
  }
  const [first, second] = infos.map(({ process: qemu }) => fs.statSync(`/proc/${qemu.pid}`).uid);
  assert.notEqual(first, second);
  for (const file of ['disk.raw', 'seed.iso'].map((name) => path.join(path.dirname(plans[1]!.root.disk!.file), name))) {
    assert.match(spawnSync('setpriv', ['--reuid', String(first), '--regid', String(first), '--clear-groups', 'cat', file], { encoding: 'utf8' }).stderr, /Permission denied/);
  }
  // UEFI keeps what a system wrote; the firmware itself is everybody's and nobody's to write.
  const variables = path.join(path.dirname(plans[0]!.root.disk!.file), 'vars.fd');
  assert.deepEqual([fs.statSync(variables).mode & 0o777, fs.statSync(variables).size], [0o600, fs.statSync(DEBIAN_FIRMWARE.uefiVariables).size]);
}));

test('G08: a guest that ejects its devices has them still, and one that puts itself to sleep wakes to be told to go', { timeout: 120_000 }, () => withQemuBench(async (bench) => {
  const plan = foreign(bench, 'sleeps'), { driver } = bench;
  const console_ = await boot(bench, plan);
  await console_.write(Buffer.from('e'));
  await hears(driver, plan, 'J');
  await console_.write(Buffer.from('w'));
  await hears(driver, plan, 'W');
  await console_.write(Buffer.from('s'));
  const socket = path.join(bench.runDir, 'v', plan.id, 'qmp.sock');
  const state = async (): Promise<string> => (await qmpCommand(socket, 'query-status') as { readonly status: string }).status;
  await until(async () => await state() === 'suspended', { what: 'its sleep', deadlineMs: DEADLINE_MS });
  // No verb waits for who sleeps.
  assert.equal((await driver.observe(plan.id)).state, 'running');
  assert.ok((await driver.stats([plan.id])).has(plan.id));
  // The power button alone is not heard.
  await goesRed(async () => {
    await qmpCommand(socket, 'system_powerdown');
    assert.notEqual(await state(), 'suspended');
  });
  await driver.powerOff(plan.id);
  assert.notEqual(await state().catch(() => 'gone'), 'suspended');
  await driver.signal(plan.id, 'SIGKILL').catch(() => undefined);
  await end(bench, plan);
  await console_.close();
}));

test('G05: a guest that writes a qcow2 header over its disk gets a disk with a qcow2 header', { timeout: 300_000 }, () => withQemuBench(async (bench) => {
  const plan = foreign(bench, 'evil'), { file } = plan.root.disk!;
  writeTinyDisk(file, qcow2Header('/etc/shadow'));
  const console_ = await boot(bench, plan);
  await console_.write(Buffer.from('w'));
  await hears(bench.driver, plan, 'W');
  await console_.write(Buffer.from('r'));
  assert.equal((await end(bench, plan)).reason, 'reboot');
  await console_.close();
  assert.deepEqual(fs.readFileSync(file).subarray(0, 4), Buffer.from('QFI\xfb', 'latin1'));
  await bench.driver.remove(plan.id, { keepLog: false });
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  const socket = path.join(bench.runDir, 'v', plan.id, 'qmp.sock');
  const nodes = await qmpCommand(socket, 'query-named-block-nodes') as readonly { readonly drv: string; readonly 'node-name': string; readonly backing_file?: string }[];
  assert.deepEqual(nodes.filter((node) => node['node-name'] === 'disk').map(({ drv, backing_file }) => [drv, backing_file]), [['raw', undefined]]);
  await goesRed(async () => {
    // Whoever looks what it could be takes the guest's word for it.
    const probed = JSON.parse(execFileSync('qemu-img', ['info', '-U', '--output=json', file], { encoding: 'utf8' })) as { readonly format: string; readonly 'backing-filename'?: string };
    assert.deepEqual([probed.format, probed['backing-filename']], ['raw', undefined]);
  });
}));

test('G07 and G11: its monitor is root’s alone; a QEMU that dies leaves no core, and the disks of others as they were', { timeout: 300_000 }, () => withQemuBench(async (bench) => {
  const plan = foreign(bench, 'dies'), other = foreign(bench, 'other');
  const before = fs.readFileSync(other.root.disk!.file);
  await (await boot(bench, plan)).close();
  const { process: qemu } = (await bench.driver.observe(plan.id) as { readonly info: { readonly process: { readonly pid: number } } }).info;
  const dir = path.join(bench.runDir, 'v', plan.id);
  assert.deepEqual([fs.statSync(dir).mode & 0o777, fs.statSync(path.join(dir, 'qmp.sock')).mode & 0o077], [0o700, 0]);
  assert.ok(!fs.readdirSync(dir).includes('agent.sock'));
  process.kill(qemu.pid, 'SIGKILL');
  assert.deepEqual(await end(bench, plan), { exitCode: 137, reason: 'killed' });
  assert.equal(identify(qemu.pid), undefined);
  assert.deepEqual(fs.readFileSync(other.root.disk!.file), before);
  assert.deepEqual(fs.readdirSync(path.dirname(plan.root.disk!.file)), ['disk.raw']);
}));

test('firmware that is not there is said before anything is made', { timeout: 60_000 }, () => withQemuBench(async (bench) => {
  assert.equal((await bench.driver.available('vm', 'bios')).ok, true);
  assert.deepEqual(await bench.driver.available('vm', 'uefi'), {
    ok: false, reason: 'There is no UEFI firmware: /nowhere/code.fd is missing.', hint: '`berth up` installs it (Debian package ovmf). Or boot it with --firmware bios.',
  });
  await assert.rejects(bench.driver.create(foreign(bench, 'none', { firmware: 'uefi' })), refusedAs('unsupported'));
  await assert.rejects(bench.driver.create(foreign(bench, 'many', { isoFiles: Array.from({ length: 5 }, () => '/x.iso') })), refusedAs('invalid'));
  assert.deepEqual(await bench.driver.leftovers(new Set()), []);
}, { firmware: { ...DEBIAN_FIRMWARE, uefiCode: '/nowhere/code.fd' } }));
