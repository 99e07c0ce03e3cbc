/** What a machine has once: ids, subnets, ports, among roots and with everybody else. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { HOST_CLAIMS } from '../../src/host/claimed-ids.ts';
import { IDS_PER_RANGE, Leases } from '../../src/host/leases.ts';
import { run } from '../../src/host/run.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';

enterOwnNamespaces();

class Machine implements Disposable {
  readonly dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-leases-'));

  constructor() {
    fs.mkdirSync(path.join(this.dir, 'etc'));
    fs.mkdirSync(path.join(this.dir, 'proc'));
  }

  root(tag: string): Leases {
    const rootDir = path.join(this.dir, tag);
    fs.mkdirSync(rootDir, { recursive: true });
    return new Leases({ leaseDir: path.join(this.dir, 'leases'), rootTag: tag, rootDir, claims: { etcDir: path.join(this.dir, 'etc'), procDir: path.join(this.dir, 'proc') }, resolvConf: path.join(this.dir, 'etc', 'resolv.conf') });
  }

  etc(name: string, text: string): void {
    fs.writeFileSync(path.join(this.dir, 'etc', name), text);
  }

  /** A process whose user namespace is mapped to this. */
  process(pid: number, map: string): void {
    fs.mkdirSync(path.join(this.dir, 'proc', String(pid)), { recursive: true });
    for (const name of ['uid_map', 'gid_map']) fs.writeFileSync(path.join(this.dir, 'proc', String(pid), name), map);
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

const disjoint = (bases: readonly number[]): boolean => bases.toSorted((a, b) => a - b).every((base, i, all) => i === 0 || base - all[i - 1]! >= IDS_PER_RANGE);

test('two roots at once never get the same ids, users of machines or subnets', async () => {
  using machine = new Machine();
  const roots = [machine.root('aaaaaa'), machine.root('bbbbbb')];
  const ranges = await Promise.all(roots.flatMap((root) => Array.from({ length: 300 }, () => root.takeIdRange())));
  assert.equal(ranges.length, 600);
  assert.ok(disjoint(ranges));
  const uids = await Promise.all(roots.flatMap((root) => Array.from({ length: 300 }, () => root.takeVmUid())));
  assert.equal(new Set(uids).size, 600);
  assert.ok(uids.every((uid) => ranges.every((base) => uid < base || uid >= base + IDS_PER_RANGE)), 'no machine runs as a container’s user');
  const subnets = await Promise.all(roots.flatMap((root) => Array.from({ length: 5 }, () => root.takeSubnet())));
  assert.equal(new Set(subnets.map((subnet) => subnet.ipv4.gateway)).size, 10);
  assert.equal(new Set(subnets.map((subnet) => subnet.ipv6.gateway)).size, 10);
});

test('ranges of /etc/subuid and /etc/subgid, and those of live processes, are left alone', async () => {
  using machine = new Machine();
  machine.etc('subuid', 'alice:1879048192:2000000\nbroken line\nbob:100000:0\n');
  machine.etc('subgid', 'alice:1896000000:65536\n');
  machine.process(4711, '         0 1913000000      65536\n');
  machine.process(1, '         0          0 4294967295\n');
  const root = machine.root('aaaaaa');
  const bases = await Promise.all(Array.from({ length: 1000 }, () => root.takeIdRange()));
  for (const [first, last] of [[1879048192, 1881048191], [1896000000, 1896065535], [1913000000, 1913065535]] as const) {
    assert.ok(bases.every((base) => base > last || base + IDS_PER_RANGE <= first), String(first));
  }
  assert.ok(disjoint(bases));
  assert.ok(Math.min(...bases) >= 0x10000000);
});

test('the next daemon of a root has its chunks, without what still runs', async () => {
  using machine = new Machine();
  const before = machine.root('aaaaaa');
  const [used, free] = [await before.takeIdRange(), await before.takeIdRange()];
  machine.process(99, `0 ${used} ${IDS_PER_RANGE}\n`);
  const next = machine.root('aaaaaa');
  const bases = await Promise.all(Array.from({ length: 255 }, () => next.takeIdRange()));
  assert.ok(bases.includes(free) && !bases.includes(used));
  assert.equal((await next.held()).idChunks.length, 1, 'no second chunk was needed');
  await next.giveIdRange(used);
  assert.equal(await next.takeIdRange(), used);
});

test('what a vanished root held is taken back; a root of the same place is another root', async () => {
  using machine = new Machine();
  const [old, other] = [machine.root('aaaaaa'), machine.root('bbbbbb')];
  const subnet = await old.takeSubnet('10.5.0.0/24');
  assert.deepEqual(subnet.ipv4, { gateway: '10.5.0.1', prefixLength: 24 });
  await old.changePorts([], [{ protocol: 'tcp', address: '0.0.0.0', port: 8080 }]);
  await assert.rejects(other.takeSubnet('10.5.0.128/25'), { code: 'alreadyExists' });
  await assert.rejects(other.changePorts([], [{ protocol: 'tcp', address: '127.0.0.1', port: 8080 }]), { code: 'alreadyExists' });
  fs.renameSync(path.join(machine.dir, 'aaaaaa'), path.join(machine.dir, 'elsewhere'));
  fs.mkdirSync(path.join(machine.dir, 'aaaaaa'));
  await other.takeSubnet('10.5.0.128/25');
  await other.changePorts([], [{ protocol: 'tcp', address: '127.0.0.1', port: 8080 }]);
});

test('subnets avoid addresses, routes and resolvers of the host', async () => {
  using machine = new Machine();
  machine.etc('resolv.conf', 'nameserver 10.89.0.53\nnameserver nonsense\n');
  await run('ip', ['link', 'add', 'here', 'type', 'bridge']);
  try {
    await run('ip', ['addr', 'add', '10.89.1.9/32', 'dev', 'here']);
    await run('ip', ['link', 'set', 'here', 'up']);
    await run('ip', ['route', 'add', '10.89.2.0/23', 'dev', 'here']);
    const root = machine.root('aaaaaa');
    assert.equal((await root.takeSubnet()).ipv4.gateway, '10.89.16.1');
    await assert.rejects(root.takeSubnet('10.89.2.0/24'), { code: 'alreadyExists' });
    await assert.rejects(root.takeSubnet('10.89.0.0/16'), { code: 'alreadyExists' });
    for (const wrong of ['10.0.0.0', '10.0.0.0/8', '10.0.0.0/31', 'fd00::/64', '300.0.0.0/24', '10.0.0.0/24; drop']) await assert.rejects(root.takeSubnet(wrong), { code: 'invalid' });
  } finally {
    await run('ip', ['link', 'delete', 'here']);
  }
});

test('a torn lease file frees what it held and hurts nobody', async () => {
  using machine = new Machine();
  const root = machine.root('aaaaaa');
  await root.takeSubnet('10.5.0.0/24');
  fs.writeFileSync(path.join(machine.dir, 'leases', 'root-aaaaaa.json'), '{"tag":"aaa');
  fs.writeFileSync(path.join(machine.dir, 'leases', 'something-else'), 'x');
  await machine.root('bbbbbb').takeSubnet('10.5.0.0/24');
  await root.takeSubnet('10.6.0.0/24');
});

test('the host’s own claims can be read', async () => {
  using machine = new Machine();
  const root = new Leases({ leaseDir: path.join(machine.dir, 'leases'), rootTag: 'aaaaaa', rootDir: machine.dir, claims: HOST_CLAIMS });
  assert.ok(await root.takeIdRange() >= 0x10000000);
});
