/**
 * One image and one manifest in four forms: PostgreSQL as an app container, OS container, microVM and VM. Each is reached by
 * name from the others and through its published port, and goes on when the daemon is killed. The example’s script says what each costs.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { debianArchive } from '../lib/debian-images.ts';
import { until } from '../lib/until.ts';

const MANIFEST = path.resolve(import.meta.dirname, '../../examples/four-forms.yaml');
const SCRIPT = path.resolve(import.meta.dirname, '../../examples/four-forms.ts');
const FORMS = { 'pg-app': 'appContainer', 'pg-os': 'osContainer', 'pg-micro': 'microVM', 'pg-vm': 'vm' } as const;
const PORTS = { 'pg-app': 5441, 'pg-os': 5442, 'pg-micro': 5443, 'pg-vm': 5444 } as const;
type Name = keyof typeof FORMS;
const NAMES = Object.keys(FORMS) as Name[];
/** Two of them emulated, at once, on a machine that others keep busy. */
const PATIENCE_MS = 300_000;

describe('PostgreSQL in four forms', { timeout: 900_000 }, () => {
  let daemon: TestDaemon;

  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await say('image', 'import', await debianArchive('postgres-system', ['systemd-sysv', 'dbus', 'postgresql']), '--as', 'postgres-system');
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  async function say(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await berth(daemon, words, { timeoutMs: PATIENCE_MS });
    assert.equal(code, 0, `berth ${words.join(' ')}: ${stderr}\n${daemon.log.slice(-2000)}`);
    return stdout;
  }

  const query = (from: Name, to: string, sql: string, port = 5432) =>
    berth(daemon, ['exec', '-e', 'PGPASSWORD=berth-example', '-e', 'PGCONNECT_TIMEOUT=10', from, 'psql', '-h', to, '-p', String(port), '-U', 'postgres', '-Atc', sql], { timeoutMs: 60_000 });

  async function answers(from: Name, to: Name): Promise<string> {
    let said = '';
    return until(async () => {
      const { code, stdout, stderr } = await query(from, to, 'SELECT who FROM mine');
      said = stderr;
      return code === 0 ? stdout.trim() : undefined;
    }, { deadlineMs: PATIENCE_MS, intervalMs: 500, what: `${to} to answer ${from}: ${said}` });
  }

  test('one manifest makes all four; each comes up in its form', async () => {
    await say('apply', '-f', MANIFEST);
    for (const name of NAMES) {
      const { status } = await daemon.instance(name);
      assert.deepEqual([status.state, status.form, status.boundary === 'kernel'], ['running', FORMS[name], FORMS[name].endsWith('Container')]);
    }
  });

  test('each has its own data, and is reached from all others by name', async () => {
    for (const name of NAMES) {
      await until(async () => (await query('pg-app', name, `CREATE TABLE mine (who text); INSERT INTO mine VALUES ('${name}')`)).code === 0, { deadlineMs: PATIENCE_MS, intervalMs: 500, what: `${name} to take a table` });
    }
    for (const from of NAMES) for (const to of NAMES) assert.equal(await answers(from, to), to, `${from} asked ${to}`);
  });

  test('each answers on its published port', async () => {
    for (const name of NAMES) {
      const ready = await until(() => daemon.fromTheHost(['sh', '-c', `printf '\\0\\0\\0\\010\\004\\322\\026\\057' | busybox nc -w 5 127.0.0.1 ${PORTS[name]}`], 20_000).catch(() => ''), { deadlineMs: 60_000, what: `port ${PORTS[name]}` });
      assert.match(ready, /^[NS]/, `${name} answers PostgreSQL’s SSLRequest`);
    }
  });

  test('all of them outlive the daemon', async () => {
    const pids = () => Promise.all(NAMES.map(async (name) => (await daemon.instance(name)).status.pid));
    const before = await pids();
    await daemon.kill();
    await daemon.up();
    assert.deepEqual(await pids(), before);
    for (const name of NAMES) assert.equal(await answers('pg-app', name), name);
  });

  test('stats, top and list show all four in one look, inside and from the host', async () => {
    const stats = await say('stats');
    for (const name of NAMES) assert.match(stats, new RegExp(`^${name} +(app container|OS container|microVM|VM) +\\d+\\.\\d % +\\S+iB +\\S+iB +${name === 'pg-micro' || name === 'pg-vm' ? '\\S+iB\\* +\\d\\S* / \\d\\S* +\\d+\\*' : '- +\\d\\S* / \\d\\S* +\\d+'}$`, 'm'), stats);
    assert.match(stats, /\n\* the guest’s own word\n$/);
    const top = JSON.parse(await say('top', '-o', 'json'));
    for (const name of NAMES) {
      const { processes, machine, problem } = top.find((one: { name: string }) => one.name === name);
      assert.equal(problem, undefined, name);
      assert.ok(processes.some((one: { user: string; command: string }) => one.user === 'postgres' && /checkpointer/.test(one.command)), `${name}: ${JSON.stringify(processes)}`);
      assert.equal(machine?.pid, FORMS[name].endsWith('Container') ? undefined : (await daemon.instance(name)).status.pid);
    }
    const list = await say('list');
    assert.match(list, /^NAME +FORM +STATE +BOUNDARY +ADDRESS +PORTS +IMAGE +AGE/);
    for (const name of NAMES) assert.match(list, new RegExp(`^${name} +.* +running( \\(\\w+\\))? +(kernel|hardware|emulated) +\\S+ +${PORTS[name]}→5432 +`, 'm'));
  });

  test('what each costs: the example’s script prints it, and the figures are those of their forms', async (t) => {
    const said = await daemon.fromTheHost(['env', `BERTH_HOST=unix:${daemon.socketPath}`, process.execPath, SCRIPT], 4 * PATIENCE_MS);
    t.diagnostic(`\n${said}`);
    const [titles, ...rows] = said.trimEnd().split('\n').map((line) => line.split(/\s{2,}/));
    assert.deepEqual(titles, ['INSTANCE', 'FORM', 'START, S', 'MEMORY, MIB', 'DISK, MIB', 'BOUNDARY']);
    const machine = (await daemon.ok('GET', '/v1/nodes')).items[0].status.forms.find((one: { form: string }) => one.form === 'vm').boundary;
    assert.match(machine, /^(hardware|emulated)$/);
    assert.deepEqual(rows.map(([name, form, , , , boundary]) => [name, form, boundary]), NAMES.map((name) => [name, FORMS[name], FORMS[name].endsWith('Container') ? 'kernel' : machine]));
    const costs = Object.fromEntries(rows.map(([name, , seconds, memory, disk]) => [name, { seconds: Number(seconds), memory: Number(memory), disk: Number(disk) }])) as Record<Name, { seconds: number; memory: number; disk: number }>;
    for (const [name, { seconds, memory, disk }] of Object.entries(costs)) {
      assert.ok(seconds > 0 && seconds < PATIENCE_MS / 1000, `${name} starts in ${seconds} s`);
      // PostgreSQL alone has some 10 MiB of its own; nobody was given more than 512, and what QEMU takes beside that.
      assert.ok(memory > 5 && memory < 800, `${name} takes ${memory} MiB`);
      assert.ok(disk > 0 && disk < 2048, `${name} has written ${disk} MiB`);
    }
    // A kernel of one's own costs time and memory, whatever runs on it.
    for (const [container, vm] of [['pg-app', 'pg-micro'], ['pg-os', 'pg-vm']] as const) {
      assert.ok(costs[container].seconds < costs[vm].seconds, `${container} starts before ${vm}`);
      assert.ok(costs[container].memory < costs[vm].memory, `${container} takes less than ${vm}`);
    }
    // What initdb wrote is there after the new start: it is theirs, not the image's.
    for (const name of ['pg-app', 'pg-micro'] as const) assert.ok(costs[name].disk > 20, `${name} keeps its database: ${costs[name].disk} MiB`);
    for (const name of NAMES) assert.equal(await answers('pg-app', name), name);
  });

  test('all go', async () => {
    await say('rm', '-f', ...NAMES);
    await say('network', 'delete', 'four');
    await daemon.untilNoLeaks();
  });
});
