/**
 * J06: files of the daemon are cut off, emptied, or have a bit flipped while it is away. It starts, or says which file is
 * damaged and what to do; nothing that was acknowledged goes without a word; and whoever the file is not about runs on.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openSqliteStore } from '../../src/drivers/store/sqlite/store.ts';
import { DAMAGES, damage, filesBelow, keepFiles, type Damage } from '../lib/damage.ts';
import { until } from '../lib/until.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { seededOrder } from '../lib/seeded-order.ts';

const KINDS = ['instances', 'volumes', 'networks', 'images'] as const;
/** Each costs a start of the daemon and of an instance; BERTH_TEST_LONG=1 takes all. */
const SAMPLES = process.env['BERTH_TEST_LONG'] === '1' ? { hurt: Infinity, machine: Infinity } : { hurt: 10, machine: 2 };
const SLEEP = { command: ['sleep', '1000'], stopSignal: 'SIGKILL' };
const SPECS: Readonly<Record<string, Record<string, unknown>>> = {
  hurt: { ...SLEEP, networks: [{ name: 'lan' }], ports: [{ hostPort: 18_080, targetPort: 80 }], volumes: [{ volume: 'data', target: '/data', readOnly: false }] },
  machine: { ...SLEEP, isolation: 'vm', networks: [{ name: 'lan' }], ports: [{ hostPort: 18_082, targetPort: 80 }] },
};

describe('J06: damaged files', () => {
  let daemon: TestDaemon;
  let bystander: { status: { pid: number } };

  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
    await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'lan' } });
    await daemon.create('bystander', { command: ['sh', '-c', 'echo here > /tmp/index.html; exec httpd -f -p 80 -h /tmp'], ports: [{ hostPort: 18_081, targetPort: 80 }], stopSignal: 'SIGKILL' });
    await daemon.create('hurt', SPECS['hurt']!);
    await daemon.create('idle', { running: false });
    bystander = await daemon.untilState('bystander', 'running');
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  /** What was acknowledged: every object with its wish. */
  async function acknowledged(): Promise<string[]> {
    const lists = await Promise.all(KINDS.map(async (kind) => (await daemon.ok('GET', `/v1/projects/-/${kind}`)).items as { kind: string; meta: { name: string; id: string }; spec: unknown }[]));
    return lists.flat().map(({ kind, meta, spec }) => JSON.stringify({ kind, name: meta.name, id: meta.id, spec })).toSorted();
  }

  async function bystanderIsWell(): Promise<void> {
    const { status } = await daemon.instance('bystander');
    assert.deepEqual([status.state, status.pid], ['running', bystander.status.pid]);
    assert.equal(await daemon.fromTheHost(['curl', '-sS', '-m', '5', 'http://127.0.0.1:18081/']), 'here\n');
  }

  for (const end of ['SIGKILL', 'SIGTERM'] as const) {
    test(`each file of the store, after ${end}`, { timeout: 240_000 }, async (t) => {
      const stateDir = path.join(daemon.rootDir, 'state');
      const before = await acknowledged();
      await daemon.kill(end);
      const kept = keepFiles(stateDir);
      let refused = 0, started = 0;
      for (const file of filesBelow(stateDir)) {
        for (const how of Object.keys(DAMAGES) as Damage[]) {
          const where = `${path.basename(file)}: ${how}`;
          damage(file, how);
          const said = await daemon.up().then(() => undefined, (error: Error) => error.message);
          if (said === undefined) {
            started++;
            assert.deepEqual(await acknowledged(), before, where);
            await bystanderIsWell();
            await daemon.kill();
          } else {
            refused++;
            const named = file.includes('store.db') ? path.join(stateDir, 'store.db') : file;
            assert.match(said, /^berth: .* is damaged[^]*\n  hint: .+/m, where);
            assert.ok(said.includes(named), `${where}: ${said}`);
          }
          kept.restore();
        }
      }
      await daemon.up();
      assert.deepEqual(await acknowledged(), before);
      await bystanderIsWell();
      assert.ok(refused > 4 && started > 4, `${refused} refused, ${started} started`);
      t.diagnostic(`${refused} damages refused, ${started} without consequence`);
    });
  }

  /** Damages one file of what runs, and checks all but the instance that it belongs to, which is made anew. */
  async function damageOfARun(name: string, file: string, how: Damage): Promise<void> {
    const where = `${path.relative(daemon.base, file)}: ${how}`;
    await daemon.kill();
    damage(file, how);
    await daemon.up().catch((error: Error) => assert.fail(`${where}: ${error.message}`));
    await bystanderIsWell().catch((error: Error) => assert.fail(`${where}: ${error.message}`));
    const { status } = await daemon.instance(name);
    assert.ok(['running', 'unsupervised', 'stopped', 'failed', 'backoff'].includes(status.state), `${where}: ${status.state}`);
    await daemon.ok('DELETE', `/v1/projects/default/instances/${name}?force=1&waitMs=60000`).catch((error: Error) => assert.fail(`${where}: ${error.message}`));
    await daemon.untilNoLeaks().catch((error: Error) => assert.fail(`${where}: ${error.message}`));
    assert.deepEqual(await processesOfTheRoot(daemon), { conmon: name === 'hurt' ? 1 : 2, dnsmasq: 2 }, where);
    await daemon.create(name, SPECS[name]!).catch((error: Error) => assert.fail(`${where}: ${error.message}`));
    assert.match(await resolve(name), /\d+\.\d+\.\d+\.\d+$/m, where);
  }

  async function resolve(name: string): Promise<string> {
    const { addresses } = (await daemon.instance(name)).status;
    return daemon.fromTheHost(['busybox', 'nslookup', '-type=a', `${name}.default.berth`, (addresses.lan[0] as string).replace(/\d+$/, '1')]);
  }

  for (const [name, samples] of Object.entries(SAMPLES)) test(`files of what runs ('${name}'), a sample by a seed`, { timeout: 600_000 }, async (t) => {
    const seed = Number(process.env['BERTH_TEST_SEED'] ?? randomInt(2 ** 31));
    t.diagnostic(`BERTH_TEST_SEED=${seed}`);
    if ((await daemon.instance(name)) === undefined) await daemon.create(name, SPECS[name]!);
    const { id } = (await daemon.instance(name)).meta;
    const foreign = (await daemon.instance('bystander')).meta.id as string;
    // What belongs to none of the instances is damaged with the first of them.
    const all = [daemon.runDir, daemon.leaseDir].flatMap(filesBelow).filter((file) => (name === 'hurt' ? !file.includes(foreign) : file.includes(id)));
    const cases = seededOrder(all.flatMap((file) => (Object.keys(DAMAGES) as Damage[]).map((how) => ({ file, how }))), seed).slice(0, samples);
    for (const { file, how } of cases) {
      const now = (await daemon.instance(name)).meta.id as string;
      await damageOfARun(name, file.replaceAll(id, now), how);
    }
    t.diagnostic(`${cases.length} of ${all.length * 4}`);
    if (name !== 'hurt') await daemon.ok('DELETE', `/v1/projects/default/instances/${name}?force=1&waitMs=60000`);
  });

  test('files beside the store: caches, blobs, copies of specs', { timeout: 240_000 }, async (t) => {
    const before = await acknowledged();
    const files = () => ['cache', 'images', 'pool'].flatMap((name) => filesBelow(path.join(daemon.rootDir, name))).filter((file) => /\/cache\/|\/blobs\/|\/spec\.json$/.test(file));
    assert.ok(['/cache/', '/blobs/', '/pool/roots/', '/pool/volumes/'].every((part) => files().some((file) => file.includes(part))), files().join('\n'));
    let count = 0;
    for (const how of Object.keys(DAMAGES) as Damage[]) {
      await daemon.kill();
      const kept = files().map((file) => [file, fs.readFileSync(file)] as const);
      for (const [file] of kept) damage(file, how);
      count += kept.length;
      await daemon.up().catch((error: Error) => assert.fail(`${how}: ${error.message}`));
      assert.deepEqual(await acknowledged(), before, how);
      await bystanderIsWell();
      await daemon.create('new', SLEEP);
      const { status } = await daemon.instance('new');
      // There is a filter, whatever lay in the cache; that it is the one that was meant is for seccomp-cache.test.ts.
      await until(() => fs.readFileSync(`/proc/${status.pid}/comm`, 'utf8') === 'sleep\n', { deadlineMs: 10_000, what: 'the command to be executed' });
      assert.match(fs.readFileSync(`/proc/${status.pid}/status`, 'utf8'), /^Seccomp:\t2$/m, how);
      await daemon.ok('DELETE', '/v1/projects/default/instances/new?force=1&waitMs=60000');
      for (const [file, bytes] of kept) if (!file.includes('/cache/')) fs.writeFileSync(file, bytes);
    }
    t.diagnostic(`${count} damages`);
  });

  test('an object that cannot be read is left alone and told of, and the others are well', { timeout: 60_000 }, async () => {
    await daemon.ok('POST', '/v1/projects/default/volumes?waitMs=60000', { meta: { name: 'odd' } });
    const before = await acknowledged();
    await daemon.kill('SIGTERM');
    const garbage = new TextEncoder().encode('{"schema":1,"object":');
    {
      await using store = await openSqliteStore(path.join(daemon.rootDir, 'state', 'store.db'));
      for (const key of ['o/Instance/default/idle', 'o/Volume/default/odd']) await store.txn([], [{ put: key, value: garbage }]);
    }
    await daemon.up();
    await bystanderIsWell();
    assert.deepEqual(await acknowledged(), before.filter((one) => !one.includes('"name":"idle"') && !one.includes('"name":"odd"')));
    const { items } = await daemon.ok('GET', '/v1/projects/-/events');
    const told = items.map((item: { spec: { type: string; target: { kind: string; name: string } } }) => item.spec).filter((event: { type: string }) => event.type === 'object.quarantined');
    assert.deepEqual(told.map((event: { severity: string; target: { kind: string; name: string } }) => [event.severity, event.target.kind, event.target.name]), [['error', 'Instance', 'idle'], ['error', 'Volume', 'odd']]);
    assert.match(daemon.log, /o\/Instance\/default\/idle/);
    const again = await daemon.request('POST', '/v1/projects/default/volumes?waitMs=60000', { meta: { name: 'odd' } });
    assert.equal(again.status, 409);
    await daemon.kill('SIGTERM');
    {
      await using store = await openSqliteStore(path.join(daemon.rootDir, 'state', 'store.db'));
      assert.deepEqual(Buffer.from((await store.get('o/Volume/default/odd'))!.value), Buffer.from(garbage));
      for (const key of ['o/Instance/default/idle', 'o/Volume/default/odd']) {
        const good = (await store.get(key, (await store.get(key))!.modRevision - 1).catch(() => undefined))?.value;
        await store.txn([], [good === undefined ? { delete: key } : { put: key, value: good }]);
      }
    }
    await daemon.up();
    assert.deepEqual(await acknowledged(), before);
  });
});

/** Programs that run for this root, by name. */
async function processesOfTheRoot(daemon: TestDaemon): Promise<Record<string, number>> {
  const count: Record<string, number> = {};
  for (const line of (await daemon.fromTheHost(['ps', '-eo', 'comm=,args='])).split('\n')) {
    const [name = ''] = line.trim().split(/\s+/);
    if (line.includes(daemon.runDir) && (name === 'dnsmasq' || name === 'conmon')) count[name] = (count[name] ?? 0) + 1;
  }
  return count;
}
