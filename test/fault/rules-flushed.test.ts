/**
 * F10: somebody flushes the firewall, deletes a bridge, kills a name server. Within 10 s all of it is as it was, an event
 * says so, and published ports, names and the walls between instances hold again.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const RESTORED_MS = 10_000;
const WEB = { command: ['sh', '-c', 'echo $HOSTNAME > /tmp/index.html; exec httpd -f -p 80 -h /tmp'], stopSignal: 'SIGKILL' };

describe('F10: the host\'s network is meddled with', () => {
  let daemon: TestDaemon;
  const pids = new Map<string, number>();
  const addresses = new Map<string, string>();

  before(async () => {
    daemon = await TestDaemon.start();
    await daemon.bootstrapBusybox();
    await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'lan' } });
    await daemon.create('web', { ...WEB, networks: [{ name: 'lan' }], ports: [{ hostPort: 18_080, targetPort: 80 }, { hostAddress: '0.0.0.0', hostPort: 18_082, targetPort: 80 }] });
    await daemon.create('client', { ...WEB, networks: [{ name: 'lan' }] });
    await daemon.create('left', WEB);
    await daemon.create('right', WEB);
    for (const name of ['web', 'client', 'left', 'right']) {
      const { status } = await daemon.untilState(name, 'running');
      pids.set(name, status.pid);
      addresses.set(name, status.addresses[status.ports[0].network][0]);
    }
    // An address that is not its own: the rules keep it silent.
    await from('client', ['ip', 'address', 'add', `${falseAddress()}/32`, 'dev', 'eth0']);
    await until(isWhole, { deadlineMs: 20_000, what: 'a whole network' });
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const said = (argv: readonly string[]): Promise<string> => daemon.fromTheHost(argv).catch(() => '');
  const from = (name: string, argv: readonly string[]): Promise<string> => said(['nsenter', `--net=/proc/${pids.get(name)}/ns/net`, '--', ...argv]);
  const fetch = (url: string): string[] => ['curl', '-sS', '-m', '1', url];

  const falseAddress = (): string => addresses.get('client')!.replace(/\d+$/, '250');

  /** What is not as it should be; empty when all is well. */
  async function broken(): Promise<string[]> {
    const gateway = addresses.get('client')!.replace(/\d+$/, '1');
    const [port, open, name, inside, across, stranger, spoofed] = await Promise.all([
      said(fetch('http://127.0.0.1:18080/')), said(fetch('http://127.0.0.1:18082/')),
      from('client', ['busybox', 'nslookup', '-type=a', 'web.default.berth', gateway]),
      from('client', fetch(`http://${addresses.get('web')}/`)), from('left', fetch(`http://${addresses.get('right')}/`)), from('left', fetch(`http://${addresses.get('web')}/`)),
      from('client', [...fetch(`http://${addresses.get('web')}/`), '--interface', falseAddress()]),
    ]);
    return [
      port === 'web\n' ? [] : ['the published port'], open === 'web\n' ? [] : ['the port for all'],
      name.includes(addresses.get('web')!) ? [] : ['the name'], inside === 'web\n' ? [] : ['the way within a network'],
      across === '' ? [] : ['the wall within an isolated network'], stranger === '' ? [] : ['the wall between networks'], spoofed === '' ? [] : ['the wall against false addresses'],
    ].flat();
  }

  async function isWhole(): Promise<boolean> {
    return (await broken()).length === 0;
  }

  async function repairs(): Promise<string[]> {
    const { items } = await daemon.ok('GET', '/v1/projects/-/events');
    return items.map((item: { spec: { type: string; message: string } }) => item.spec).filter((event: { type: string }) => event.type === 'network.repaired').map((event: { message: string }) => event.message);
  }

  /** Breaks something, and sees it whole again in time, with a new event that says what was repaired. */
  async function heals(meddle: () => Promise<unknown>, breaks: string, event: RegExp): Promise<void> {
    const known = (await repairs()).length;
    await meddle();
    const start = performance.now();
    const seen = await broken();
    // Unless the repair was faster than the look.
    assert.ok(seen.includes(breaks) || (await repairs()).length > known, `what was done broke ${seen.join()}, not ${breaks}`);
    let left: string[] = [];
    await until(async () => (left = await broken()).length === 0, { deadlineMs: RESTORED_MS - (performance.now() - start), intervalMs: 200, what: 'repair' }).catch(() => assert.fail(`not restored in time: ${left.join(', ')}`));
    const told = await until(async () => { const now = await repairs(); return now.length > known ? now : undefined; }, { what: 'an event' });
    assert.match(told.slice(known).join('\n'), event);
  }

  const bridgeOf = async (network: string): Promise<string> => {
    const { ipv4 } = (await daemon.ok('GET', `/v1/projects/default/networks/${network}`)).status;
    const links = JSON.parse(await daemon.fromTheHost(['ip', '-j', '-4', 'address'])) as { ifname: string; addr_info: { local: string }[] }[];
    return links.find((link) => link.addr_info.some(({ local }) => local === ipv4.gateway))!.ifname;
  };

  test('nft flush ruleset', { timeout: 60_000 }, async () => {
    await heals(() => daemon.fromTheHost(['nft', 'flush', 'ruleset']), 'the wall between networks', /nftables/);
  });

  test('one of our tables is deleted', { timeout: 60_000 }, async () => {
    const name = /^table bridge (berth_\w+)$/m.exec(await daemon.fromTheHost(['nft', 'list', 'tables', 'bridge']))![1]!;
    await heals(() => daemon.fromTheHost(['nft', 'delete', 'table', 'bridge', name]), 'the wall against false addresses', /nftables/);
  });

  test('the bridge of a network is deleted', { timeout: 60_000 }, async () => {
    const bridge = await bridgeOf('lan');
    await heals(() => daemon.fromTheHost(['ip', 'link', 'delete', bridge]), 'the way within a network', /lan/);
  });

  test('a name server is killed', { timeout: 60_000 }, async () => {
    const { id } = (await daemon.ok('GET', '/v1/projects/default/networks/lan')).meta;
    const pid = Number(fs.readFileSync(path.join(daemon.runDir, 'networks', id, 'pid'), 'latin1'));
    await heals(async () => process.kill(pid, 'SIGKILL'), 'the name', /lan/);
  });

  test('the process that holds published ports is killed', { timeout: 60_000 }, async () => {
    const owner = /pid=(\d+)/.exec(await daemon.fromTheHost(['ss', '-Hltnp', 'sport', '=', ':18080']))?.[1];
    assert.ok(owner !== undefined, 'nobody listens on 18080');
    await heals(async () => process.kill(Number(owner), 'SIGKILL'), 'the published port', /port/);
  });

  test('all of it was flushed while no daemon was there', { timeout: 60_000 }, async () => {
    await daemon.kill();
    await daemon.fromTheHost(['nft', 'flush', 'ruleset']);
    assert.ok((await broken()).includes('the wall between networks'));
    await daemon.up();
    assert.deepEqual(await broken(), []);
  });

  test('who ran, runs; nothing leaked; a new one can be started', { timeout: 60_000 }, async () => {
    for (const [name, pid] of pids) assert.equal((await daemon.instance(name)).status.pid, pid);
    await daemon.create('new', WEB);
    await daemon.untilNoLeaks();
  });
});
