/** microVMs that resume from a template: what each has for itself, what none of them can reach, and what happens when it does not work. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import type { InterfacePlan, UnitPlan } from '../../src/drivers/runtime/driver.ts';
import type { WarmStage } from '../../src/drivers/runtime/qemu/microvm-options.ts';
import type { QemuRuntimeOptions } from '../../src/drivers/runtime/qemu/qemu-runtime.ts';
import { agentWithoutRule } from '../lib/agent-without-rule.ts';
import { logText } from '../lib/crun-bench.ts';
import { NetworkLab } from '../lib/network-lab.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { openQemuBench, type QemuBench } from '../lib/qemu-bench.ts';
import { goesRed } from '../lib/red.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

const WAIT_MS = 60_000;
const QEMU = '/usr/bin/qemu-system-x86_64';
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'bq-warm-'));
after(() => { fs.rmSync(scratch, { recursive: true, force: true }); });

interface WarmBench extends AsyncDisposable {
  readonly bench: QemuBench;
  readonly complaints: string[];
  /** Boots one of this shape, so that there is a template of it. */
  prepare(plan: UnitPlan): Promise<void>;
  templateDir(): string;
}

async function openWarmBench(options: Partial<QemuRuntimeOptions> = {}): Promise<WarmBench> {
  const complaints: string[] = [];
  const bench = await openQemuBench({ warmStart: 'project', templateDelayMs: 0, complain: (error) => { complaints.push(String(error)); }, ...options });
  return {
    bench, complaints,
    async prepare(plan) {
      assert.equal((await bench.driver.create(plan)).start, 'cold');
      await bench.driver.remove(plan.id, { keepLog: false });
      await bench.driver.templatesMade();
      assert.deepEqual(complaints, []);
    },
    templateDir() {
      const [facts] = fs.readdirSync(path.join(bench.rootDir, 'templates'));
      const [key] = fs.readdirSync(path.join(bench.rootDir, 'templates', facts!));
      return path.join(bench.rootDir, 'templates', facts!, key!);
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

/** Starts it and waits for what it says first. */
async function says(bench: QemuBench, plan: UnitPlan, start: 'cold' | 'warm' = 'warm'): Promise<{ readonly text: string; readonly pid: number }> {
  const info = await bench.driver.create(plan);
  assert.equal(info.start, start);
  await bench.driver.start(plan.id);
  const text = await until(async () => {
    const { stdout } = logText(await bench.driver.logFiles(plan.id));
    return stdout.includes('end\n') ? stdout : undefined;
  }, { what: 'the workload', deadlineMs: WAIT_MS });
  return { text, pid: info.process.pid };
}

const DRAWN = 'cat /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | hexdump; ';

/** What DRAWN printed; hexdump's last line is the length, which is the same for all. */
const drawnIn = (text: string): readonly string[] => text.split('\n').slice(0, 3);

/** Numbers that a machine draws first, as lines. */
async function draws(bench: QemuBench): Promise<readonly string[]> {
  const plan = bench.plan(['sh', '-c', `${DRAWN} echo end`]);
  const { text } = await says(bench, plan);
  await bench.driver.remove(plan.id, { keepLog: false });
  return drawnIn(text);
}

function assertNothingShared(one: readonly string[], other: readonly string[]): void {
  for (const line of [...one, ...other]) if (!/[0-9a-f]{4}/.test(line)) throw new TypeError(`'${line}' is no number that was drawn`);
  assert.deepEqual(one.filter((line) => other.includes(line)), []);
}

test('G09: two that resumed from one memory draw different numbers, have addresses, clock and word of their own, and reach each other', { timeout: 300_000 }, async () => {
  await using lab = await NetworkLab.open();
  await using warm = await openWarmBench();
  const { bench } = warm;
  const network = await lab.network({ isolated: false });
  const withPort = async (): Promise<{ readonly plan: UnitPlan; readonly eth0: InterfacePlan }> => {
    const port = lab.port(network);
    const eth0: InterfacePlan = {
      name: 'eth0', mac: port.mac, mtu: 1400, tap: await lab.driver.prepareTap(port),
      addresses: [{ address: port.ipv4, prefixLength: network.ipv4.prefixLength }, { address: port.ipv6, prefixLength: network.ipv6.prefixLength }],
      gateways: [network.ipv4.gateway, network.ipv6.gateway],
    };
    const plan = bench.plan(['sh', '-c', `${DRAWN} echo at $(date +%s); cat /sys/class/net/eth0/address; ip addr show eth0; hostname; echo end; sleep 1000`], {
      capabilities: ['NET_RAW'], network: { interfaces: [eth0], nameservers: [], searchDomains: [] },
    });
    return { plan: { ...plan, hostname: `host-${plan.id}` }, eth0 };
  };
  await warm.prepare((await withPort()).plan);
  const all = [await withPort(), await withPort()];
  const seen: string[] = [];
  for (const { plan, eth0 } of all) {
    const { text } = await says(bench, plan);
    const skewS = Number(/^at (\d+)$/m.exec(text)![1]) - Date.now() / 1000;
    assert.ok(Math.abs(skewS) < 20, `its clock is ${skewS} s off`);
    for (const own of [eth0.mac, `inet ${eth0.addresses[0]!.address}/`, `inet6 ${eth0.addresses[1]!.address}/`, `link/ether ${eth0.mac}`, `host-${plan.id}`]) assert.ok(text.includes(`${own}`), `${own}\n${text}`);
    seen.push(text);
  }
  assertNothingShared(drawnIn(seen[0]!), drawnIn(seen[1]!));
  const words = all.map(({ plan }) => (JSON.parse(fs.readFileSync(path.join(bench.runDir, 'v', plan.id, 'unit.json'), 'utf8')) as { nonce: string }).nonce);
  const { nonce } = JSON.parse(fs.readFileSync(path.join(warm.templateDir(), 'template.json'), 'utf8')) as { nonce: string };
  assert.equal(new Set([...words, nonce]).size, 3);
  for (const [from, to] of [[0, 1], [1, 0]] as const) {
    for (const { address } of all[to]!.eth0.addresses) assert.equal((await bench.exec(all[from]!.plan.id, ['ping', '-c1', '-W5', address], { capabilities: ['NET_RAW'] })).exitCode, 0, address);
  }
  // The next daemon knows their own words, not the template's.
  await bench.reopen();
  assert.equal((await bench.exec(all[0]!.plan.id, ['echo', 'here'])).stdout, 'here\n');
  for (const { plan } of all) await bench.driver.remove(plan.id, { keepLog: false });
});

test('G09 goes red where the agent does not take the host’s randomness in', { timeout: 300_000 }, async () => {
  await using warm = await openWarmBench({ agent: await agentWithoutRule(scratch, 'RESEED') });
  await warm.prepare(warm.bench.plan(['true']));
  // The kernel mixes what it hears into its pool by itself, sooner or later: a pair that was quick shows what it had.
  await goesRed(async () => {
    for (let pair = 0; pair < 4; pair++) assertNothingShared(await draws(warm.bench), await draws(warm.bench));
  });
});

/** Does this machine's memory hold the text? `file` is what it is mapped from. */
function memoryHolds(pid: number, file: string, text: string): boolean {
  const region = fs.readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n').find((line) => line.includes(file))!;
  const [from, to] = region.split(' ')[0]!.split('-').map((address) => Number.parseInt(address, 16)) as [number, number];
  const memory = fs.openSync(`/proc/${pid}/mem`, 'r');
  try {
    const bytes = Buffer.alloc(to - from);
    for (let at = 0; at < bytes.length;) at += fs.readSync(memory, bytes, at, Math.min(bytes.length - at, 1 << 24), from + at);
    return bytes.includes(text);
  } finally {
    fs.closeSync(memory);
  }
}

/** Descriptors by which a process could write what has this in its name. */
function writable(pid: number, name: string): readonly string[] {
  return fs.readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    const flags = /^flags:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))![1]!;
    return fs.readlinkSync(`/proc/${pid}/fd/${fd}`).includes(name) && (Number.parseInt(flags, 8) & 3) !== fs.constants.O_RDONLY;
  });
}

const sha256 = (file: string): string => crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex');

test('G09: what one machine has in its memory is in no template and in no other machine, and none can write what all see', { timeout: 300_000 }, async () => {
  await using warm = await openWarmBench();
  const { bench } = warm;
  const secret = crypto.randomBytes(16).toString('hex');
  // The word stands in the plan, in a file system in memory and in the image's own upper.
  // Small machines have no pieces of free memory that are large enough to be given back.
  const resources = { memoryBytes: 256 << 20, cpuWeight: 100 };
  const holder = (): UnitPlan => bench.plan(['sh', '-c', `echo "$WORD" > /run/word; echo "$WORD" > /word; cat /word; echo end; sleep 1000`], { process: { env: [`WORD=${secret}`, 'PATH=/bin'] }, tmpfs: [{ target: '/run', sizeBytes: 65_536 }], resources });
  await warm.prepare(holder());
  const dir = warm.templateDir(), ram = path.join(dir, 'ram');
  assert.ok(!fs.readFileSync(ram).includes(secret) && !fs.readFileSync(path.join(dir, 'state')).includes(secret));
  assert.equal(fs.statSync(dir).mode & 0o077, 0);
  const before = sha256(ram);
  const one = holder(), other = bench.plan(['sh', '-c', 'echo end; sleep 1000'], { resources });
  const first = await says(bench, one), second = await says(bench, other);
  assert.ok(memoryHolds(first.pid, ram, secret), 'the look finds what is there');
  assert.ok(!memoryHolds(second.pid, ram, secret));
  for (const { pid } of [first, second]) assert.deepEqual(writable(pid, '/ram'), []);
  // Memory that a guest gives back is freed, of this machine alone.
  const ownKib = (): number => Number(/^RssAnon:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${second.pid}/status`, 'latin1'))![1]);
  assert.equal((await bench.exec(other.id, ['sh', '-c', 'head -c 80000000 /dev/zero > /filler'])).exitCode, 0);
  const full = ownKib();
  assert.equal((await bench.exec(other.id, ['rm', '/filler'])).exitCode, 0);
  await until(() => ownKib() < full - 20_000, { what: 'the memory that was given back', deadlineMs: WAIT_MS });
  assert.equal(sha256(ram), before);
  // Another project has templates of its own.
  const stranger = { ...bench.plan(['true']), project: 'other' };
  assert.equal((await bench.driver.create(stranger)).start, 'cold');
  for (const plan of [one, other, stranger]) await bench.driver.remove(plan.id, { keepLog: false });
});

test('G09 without its walls: a QEMU that opens the file by itself can write it', async () => {
  const ram = path.join(scratch, 'ram');
  fs.writeFileSync(ram, '');
  fs.truncateSync(ram, 64 << 20);
  const qemu = spawn(QEMU, ['-nodefaults', '-no-user-config', '-display', 'none', '-M', 'none', '-object', `memory-backend-file,id=ram,size=64M,mem-path=${ram},share=off`], { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await until(() => fs.readFileSync(`/proc/${qemu.pid}/maps`, 'latin1').includes(ram), { what: 'QEMU' });
    assert.equal(writable(qemu.pid!, '/ram').length, 1);
  } finally {
    qemu.kill('SIGKILL');
    await once(qemu, 'close');
  }
});

test('whatever is wrong with a template: the same create boots, says so, and the template is gone', { timeout: 300_000 }, async () => {
  const wrongs: readonly (readonly [string, (dir: string) => void])[] = [
    ['the state is cut short', (dir) => { fs.truncateSync(path.join(dir, 'state'), 20_000); }],
    ['the memory is another', (dir) => { fs.truncateSync(path.join(dir, 'ram'), 0); fs.truncateSync(path.join(dir, 'ram'), 128 << 20); }],
    ['the files are gone', (dir) => { fs.rmSync(path.join(dir, 'ram')); }],
  ];
  await using warm = await openWarmBench({ deadlines: { warmMs: 4_000 } });
  const { bench, complaints } = warm;
  await warm.prepare(bench.plan(['true']));
  for (const [what, spoil] of wrongs) {
    const dir = warm.templateDir();
    fs.writeFileSync(path.join(dir, 'mark'), '');
    spoil(dir);
    const plan = bench.plan(['true']);
    assert.equal((await bench.driver.create(plan)).start, 'cold', what);
    assert.equal(complaints.length, 1, `${what}: ${complaints.join('\n')}`);
    complaints.length = 0;
    await bench.driver.remove(plan.id, { keepLog: false });
    await bench.driver.templatesMade();
    assert.deepEqual([complaints, await bench.driver.leftovers(new Set())], [[], []]);
    // Made anew, and good.
    assert.ok(!fs.existsSync(path.join(warm.templateDir(), 'mark')));
    const next = bench.plan(['true']);
    assert.equal((await bench.driver.create(next)).start, 'warm', what);
    await bench.driver.remove(next.id, { keepLog: false });
  }
  // No fault of the template's: a command that is not there.
  await assert.rejects(bench.driver.create(bench.plan(['/nowhere'])));
  const last = bench.plan(['true']);
  assert.equal((await bench.driver.create(last)).start, 'warm');
});

/** Where a daemon may die, and what the next one's first machine of the kind finds. */
const DEATHS: readonly (readonly [WarmStage, 'cold' | 'warm'])[] = [
  ['begun', 'cold'], ['blank boots', 'cold'], ['saved', 'cold'], ['admitted', 'warm'], ['machine runs', 'warm'], ['machine set up', 'warm'],
];

test('a daemon that dies while it makes a template or uses one leaves nothing behind that the next does not take away', { timeout: 400_000 }, async () => {
  await using warm = await openWarmBench({ templateDelayMs: 600_000 });
  const { bench } = warm;
  for (const [stage, start] of DEATHS) {
    const plan = bench.plan(['sleep', '1000']);
    const child = spawn(process.execPath, [path.join(import.meta.dirname, '../lib/qemu-warm-crash-main.ts'), JSON.stringify({ rootDir: bench.rootDir, runDir: bench.runDir, rootTag: bench.rootTag, stage, plans: stage.startsWith('machine') ? [plan] : [bench.plan(['true']), plan] })], { stdio: ['ignore', 'inherit', 'inherit'] });
    const [, signal] = await once(child, 'exit') as [number | null, string | null];
    assert.equal(signal, 'SIGKILL', stage);
    const driver = await bench.reopen();
    for (const id of fs.readdirSync(path.join(bench.runDir, 'v'))) await driver.remove(id as UnitPlan['id'], { keepLog: false });
    assert.deepEqual(await driver.leftovers(new Set()), [], stage);
    const next = bench.plan(['true']);
    assert.equal((await driver.create(next)).start, start, stage);
    await driver.remove(next.id, { keepLog: false });
    const [facts] = fs.existsSync(path.join(bench.rootDir, 'templates')) ? fs.readdirSync(path.join(bench.rootDir, 'templates')) : [];
    assert.deepEqual(facts === undefined ? [] : fs.readdirSync(path.join(bench.rootDir, 'templates', facts)).filter((name) => name.startsWith('new-')), [], stage);
  }
});
