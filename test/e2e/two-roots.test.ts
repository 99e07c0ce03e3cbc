/**
 * J13: two daemons with roots of their own on one machine, at work at the same time, and a foreign tool that has ids of
 * its own: nothing that a machine has once is used twice, and taking away the one leaves the other as it was.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../../src/host/run.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

const LAUNCHER = path.resolve(import.meta.dirname, '../../berth');
const CONTAINERS = 5;
const WEB = ['sh', '-c', 'echo $HOSTNAME > /tmp/index.html; exec httpd -f -p 80 -h /tmp'];
/** Where the first ranges would lie, had nobody else a claim. */
const FOREIGN = { first: 0x70000000, count: 20 * 65_536 };

interface Span {
  readonly first: number;
  readonly last: number;
}

describe('J13: two roots', () => {
  let one: TestDaemon, other: TestDaemon;
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-two-roots-'));

  before(async () => {
    for (const name of ['subuid', 'subgid']) {
      const file = path.join(scratch, name);
      const was = fs.existsSync(`/etc/${name}`) ? fs.readFileSync(`/etc/${name}`, 'utf8') : '';
      fs.writeFileSync(file, `${was}foreign:${FOREIGN.first}:${FOREIGN.count}\n`);
      if (!fs.existsSync(`/etc/${name}`)) throw new Error(`/etc/${name} is not there to be covered`);
      await run('mount', ['--bind', file, `/etc/${name}`]); // in this test's own mount namespace
    }
    one = await TestDaemon.start({ vms: true });
    other = await TestDaemon.start({ vms: true, beside: one });
    await Promise.all([one, other].map((daemon) => daemon.bootstrapBusybox()));
    await Promise.all([one, other].flatMap((daemon) => [
      ...['lan', 'net'].map((name) => daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name } })),
      ...Array.from({ length: CONTAINERS }, (_, index) => daemon.create(`c${index}`, { command: WEB, ports: [{ targetPort: 80 }], stopSignal: 'SIGKILL' })),
    ]));
    await Promise.all([one, other].map(async (daemon) => {
      await daemon.create('web', { command: WEB, networks: [{ name: 'lan' }], ports: [{ hostAddress: '0.0.0.0', targetPort: 80 }], stopSignal: 'SIGKILL' });
      await daemon.create('machine', { isolation: 'vm', command: WEB, networks: [{ name: 'lan' }], ports: [{ targetPort: 80 }], stopSignal: 'SIGKILL' });
    }));
  });
  after(async () => {
    await other?.[Symbol.asyncDispose]();
    await one?.[Symbol.asyncDispose]();
    fs.rmSync(scratch, { recursive: true });
  });

  const tagOf = (daemon: TestDaemon): string => fs.readFileSync(path.join(daemon.rootDir, 'state/tag'), 'utf8').split('\n')[0]!;
  const instances = async (daemon: TestDaemon): Promise<any[]> => (await daemon.ok('GET', '/v1/projects/-/instances')).items; // eslint-disable-line -- instances as the API shows them
  const networks = async (daemon: TestDaemon): Promise<any[]> => (await daemon.ok('GET', '/v1/projects/-/networks')).items; // eslint-disable-line -- networks as the API shows them

  const whoRuns = async (daemon: TestDaemon): Promise<string[]> => (await instances(daemon)).map(({ meta, status }) => `${meta.name} ${status.state} ${status.pid}`).toSorted();

  /** Takes from each root what it uses, and checks that no two overlap. */
  async function assertApart(what: string, spansOf: (daemon: TestDaemon) => Promise<Span[]>, atLeast: number, also: readonly Span[] = []): Promise<void> {
    const all = [...(await spansOf(one)), ...(await spansOf(other)), ...also].toSorted((a, b) => a.first - b.first);
    assert.ok(all.length - also.length >= atLeast, `${all.length} ${what}`);
    all.forEach((span, index) => { assert.ok(index === 0 || all[index - 1]!.last < span.first, `${what}: ${JSON.stringify([all[index - 1], span])}`); });
  }

  test('id ranges, and the foreign one', async () => {
    const foreign = { first: FOREIGN.first, last: FOREIGN.first + FOREIGN.count - 1 };
    await assertApart('id ranges', async (daemon) => (await instances(daemon)).flatMap(({ status: { uidMap } }) => (uidMap === undefined ? [] : [{ first: uidMap.base, last: uidMap.base + uidMap.count - 1 }])), 2 * CONTAINERS + 2, [foreign]);
  });

  test('J13: a range that two have would be noticed', async () => {
    const spans = async (daemon: TestDaemon): Promise<Span[]> => (await instances(daemon)).flatMap(({ status: { uidMap } }) => (uidMap === undefined ? [] : [{ first: uidMap.base, last: uidMap.base + uidMap.count - 1 }]));
    const [taken] = await spans(one);
    await assert.rejects(assertApart('id ranges', spans, 1, [{ first: taken!.last, last: taken!.last + 1 }]), assert.AssertionError);
  });

  test('user ids of machines', async () => {
    await assertApart('user ids', async (daemon) => {
      const { pid } = (await daemon.instance('machine')).status;
      const uid = Number(/^Uid:\t(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))![1]);
      assert.ok(uid > 0);
      return [{ first: uid, last: uid }];
    }, 2);
  });

  test('subnets of both families', async () => {
    await assertApart('IPv4 subnets', async (daemon) => (await networks(daemon)).map(({ status: { ipv4 } }) => {
      const first = Number.parseInt((ipv4.gateway as string).split('.').map((part) => Number(part).toString(16).padStart(2, '0')).join(''), 16) & ~(2 ** (32 - ipv4.prefixLength) - 1);
      return { first: first >>> 0, last: (first >>> 0) + 2 ** (32 - ipv4.prefixLength) - 1 };
    }), 6);
    const prefixes = [...(await networks(one)), ...(await networks(other))].map(({ status: { ipv6 } }) => ipv6.gateway.replace(/::.*$/, ''));
    assert.equal(new Set(prefixes).size, prefixes.length, prefixes.join());
  });

  test('published ports, and the same one twice is refused', async () => {
    await assertApart('ports', async (daemon) => [...new Set((await instances(daemon)).flatMap(({ status: { published } }) => published.map((port: { hostPort: number }) => port.hostPort)))].map((port) => ({ first: port as number, last: port as number })), 2 * CONTAINERS + 4);
    const spec = { image: 'busybox', running: true, command: WEB, ports: [{ hostPort: 18_090, targetPort: 80 }], stopSignal: 'SIGKILL' };
    await one.create('fixed', spec);
    const create = () => other.request('POST', '/v1/projects/default/instances?waitMs=60000', { meta: { name: 'fixed' }, spec });
    const refused = await create();
    const error = refused.body.kind === 'Operation' ? refused.body.status.error : refused.body;
    assert.equal(error.code, 'alreadyExists', JSON.stringify(refused.body));
    assert.match(error.message, /18090/);
    assert.equal(await other.instance('fixed'), undefined);
    await one.ok('DELETE', '/v1/projects/default/instances/fixed?force=1&waitMs=60000');
    const taken = await create();
    assert.equal(taken.body.status?.state, 'succeeded', JSON.stringify(taken.body));
  });

  test('interfaces, tables and control groups bear the tag of one root', async () => {
    const tags = [tagOf(one), tagOf(other)] as const;
    assert.notEqual(tags[0], tags[1]);
    const links = (JSON.parse(await one.fromTheHost(['ip', '-j', 'link'])) as { ifname: string }[]).map((link) => link.ifname).filter((name) => name !== 'lo');
    const tables = [...(await one.fromTheHost(['nft', 'list', 'tables'])).matchAll(/berth_(\w+)/g)].map((match) => match[1]);
    for (const tag of tags) {
      assert.ok(links.filter((name) => name.slice(1).startsWith(tag)).length >= 3 + CONTAINERS + 2, `${tag}: ${links.join()}`);
      assert.ok(tables.includes(tag));
    }
    assert.deepEqual(links.filter((name) => !tags.some((tag) => name.slice(1).startsWith(tag))), []);
    assert.deepEqual(tables.filter((tag) => !tags.includes(tag!)), []);
  });

  test('what one root publishes answers, and the other root\'s instances are not to be reached past that', async () => {
    for (const daemon of [one, other]) {
      for (const { meta, status } of await instances(daemon)) {
        const { hostPort } = status.published[0];
        await until(async () => (await one.fromTheHost(['curl', '-sS', '-m', '5', `http://127.0.0.1:${hostPort}/`]).catch(() => '')) === `${meta.name}\n`, { deadlineMs: 20_000, what: `${meta.name} on ${hostPort}` });
      }
    }
    const target = (await other.instance('web')).status.addresses.lan[0] as string;
    const { pid } = (await one.instance('web')).status;
    const reached = await one.fromTheHost(['nsenter', `--net=/proc/${pid}/ns/net`, '--', 'curl', '-sS', '-m', '2', `http://${target}/`]).catch(() => 'not reached');
    assert.equal(reached, 'not reached');
  });

  test('down --all of the one leaves the other as it was', { timeout: 120_000 }, async () => {
    const was = await whoRuns(other);
    const rules = await one.fromTheHost(['nft', 'list', 'table', 'inet', `berth_${tagOf(other)}`]);
    const gone = tagOf(one);
    await one.fromTheHost([LAUNCHER, 'down', '--all', '--yes', '--root', one.rootDir, '--run', one.runDir, '--leases', one.leaseDir], 90_000);
    await one.ended();
    assert.ok(!fs.existsSync(one.rootDir));
    const links = await other.fromTheHost(['ip', '-o', 'link']);
    assert.ok(!links.includes(gone) && links.includes(tagOf(other)), links);
    assert.deepEqual(await whoRuns(other), was);
    assert.equal(await other.fromTheHost(['nft', 'list', 'table', 'inet', `berth_${tagOf(other)}`]), rules);
    for (const { meta, status } of await instances(other)) {
      assert.equal(await other.fromTheHost(['curl', '-sS', '-m', '5', `http://127.0.0.1:${status.published[0].hostPort}/`]), `${meta.name}\n`);
    }
    await other.restart();
    assert.deepEqual(await whoRuns(other), was);
    await other.untilNoLeaks();
  });
});
