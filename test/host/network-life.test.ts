/** Names, repair, restart, removal and speed of the network driver. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/host/run.ts';
import { identify, signalProcess } from '../../src/host/process.ts';
import type { Sandbox } from '../../src/drivers/network/driver.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { newId, NetworkLab } from '../lib/network-lab.ts';
import { PATIENCE, patient } from '../lib/patience.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

/** What dig-like `nslookup` of busybox says, answer part only. */
async function lookup(lab: NetworkLab, from: Sandbox, name: string, server: string): Promise<string> {
  const { stdout } = await lab.inside(from, ['busybox', 'nslookup', name, server]);
  return stdout.split('\n').slice(3).join('\n');
}

/** Everything of the network that a tool can show, without what moves by itself. */
async function hostState(): Promise<string> {
  const parts = await Promise.all([
    ['nft', 'list', 'ruleset'], ['ip', '-br', 'link'], ['ip', '-br', 'addr'], ['ip', 'route', 'show', 'table', 'all'], ['ip', '-6', 'route', 'show', 'table', 'all'], ['ip', 'rule'],
    ['sh', '-c', 'cd /proc/sys/net; grep -r . ipv4/ip_forward ipv4/conf ipv6/conf 2>/dev/null | grep -v stable_secret | sort'],
  ].map((args) => run(args[0]!, args.slice(1))));
  return parts.map(({ stdout }) => stdout).join('\n--\n');
}

test('names: full, short and reverse; gone within a second; nothing of another project', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ project: 'shop' });
  const other = await lab.network({ project: 'bank' });
  const [a, b] = await Promise.all([lab.sandbox(plan), lab.sandbox(other)]);
  const { ipv4, ipv6 } = a.ports[0]!;
  const owner = newId();
  await lab.driver.setNames(plan.id, owner, [{ name: 'web', addresses: [ipv4, ipv6] }]);
  for (const server of lab.driver.nameservers(plan.id)) {
    for (const name of ['web.shop.berth', 'web']) {
      const said = await lookup(lab, a, name, server);
      assert.ok(said.includes(ipv4) && said.includes(ipv6), said);
    }
    assert.match(await lookup(lab, a, ipv4, server), /web\.shop\.berth/);
    assert.match(await lookup(lab, a, ipv6, server), /web\.shop\.berth/);
  }
  assert.doesNotMatch(await lookup(lab, b, 'web.shop.berth', lab.driver.nameservers(other.id)[0]!), new RegExp(ipv4));
  // A second owner's names come and go without touching the first one's.
  const second = newId();
  await lab.driver.setNames(plan.id, second, [{ name: 'db', addresses: [ipv4] }]);
  assert.match(await lookup(lab, a, 'db', plan.ipv4.gateway), new RegExp(ipv4));
  const before = performance.now();
  await lab.driver.setNames(plan.id, owner, []);
  await until(async () => !(await lookup(lab, a, 'web.shop.berth', plan.ipv4.gateway)).includes(ipv4), { deadlineMs: 3_000 });
  assert.ok(performance.now() - before < patient(1_000), `${performance.now() - before} ms`);
  assert.match(await lookup(lab, a, 'db', plan.ipv4.gateway), new RegExp(ipv4));
  await assert.rejects(lab.driver.setNames(plan.id, owner, [{ name: 'bad.name', addresses: [ipv4] }]), /cannot be a DNS name/);
  await assert.rejects(lab.driver.setNames(plan.id, owner, [{ name: 'a\nb', addresses: [ipv4] }]), /cannot be a DNS name/);
});

test('other names are asked of the host’s resolver, but not for an internal network', async () => {
  const resolvConf = path.join(fs.mkdtempSync('/tmp/berth-resolv-'), 'resolv.conf');
  try {
    fs.chmodSync(path.dirname(resolvConf), 0o755);
    fs.writeFileSync(resolvConf, 'nameserver 198.51.100.2\n');
    await using lab = await NetworkLab.open({ resolvConf });
    const world = await lab.neighbour();
    const child = world.start(['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--no-resolv', '--no-hosts', '--address=/example.test/203.0.113.7', '--log-facility=-']);
    const [open, internal] = [await lab.network(), await lab.network({ internal: true })];
    const [a, b] = await Promise.all([lab.sandbox(open), lab.sandbox(internal)]);
    await until(async () => (await lookup(lab, a, 'www.example.test', open.ipv4.gateway)).includes('203.0.113.7'), { what: 'an answer of the world' });
    const said = await lab.inside(b, ['busybox', 'nslookup', 'www.example.test', internal.ipv4.gateway]);
    assert.match(said.stdout + said.stderr, /REFUSED/);
    child.kill();
  } finally {
    fs.rmSync(path.dirname(resolvConf), { recursive: true, force: true });
  }
});

test('F10: flushed rules, a lost bridge and a dead name server are noticed and made again', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ isolated: true });
  const lan = await lab.neighbour();
  const [a, b] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  await lab.serve(a, 'tcp', '0.0.0.0', 80);
  await lab.driver.publish(newId(), [{ protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080, targetAddress: a.ports[0]!.ipv4, targetPort: 80 }, { protocol: 'tcp', hostAddress: '::1', hostPort: 8080, targetAddress: a.ports[0]!.ipv6, targetPort: 80 }]);
  const works = async (): Promise<void> => {
    // A first packet may wait for neighbours to be found, on a busy machine longer than ping does.
    for (const [from, to] of [[a, lan.there4], [b, lan.there6]] as const) await until(async () => (await lab.inside(from, ['ping', '-c1', '-W2', to])).code === 0, { what: `a way from an instance to ${to}` });
    assert.equal((await lab.inside(a, ['ping', '-c1', '-W1', b.ports[0]!.ipv4])).code, 1);
    assert.equal(await lab.ask(lan, 'tcp', lan.here4, 8080), lan.there4);
    for (const server of lab.driver.nameservers(plan.id)) assert.match(await lookup(lab, a, 'web', server), new RegExp(b.ports[0]!.ipv4));
  };
  await lab.driver.setNames(plan.id, newId(), [{ name: 'web', addresses: [b.ports[0]!.ipv4] }]);
  await works();
  assert.deepEqual(await lab.driver.reconcile(), []);
  const table = `berth_${lab.options.rootTag}`;
  for (const damage of [
    ['flush', 'ruleset'],
    ['delete', 'table', 'bridge', table],
    ['flush', 'chain', 'inet', table, 'from_instance_to_host'],
    ['flush', 'set', 'bridge', table, 'port_mac'],
    ['add', 'rule', 'bridge', table, 'forward', 'accept'],
    ['add', 'element', 'inet', table, 'egress', '{', 'eth7', '}'],
  ]) {
    await run('nft', damage);
    const said = await lab.driver.reconcile();
    assert.match(said.join(' '), /nftables rules of this root/, damage.join(' '));
    assert.deepEqual(await lab.driver.reconcile(), [], damage.join(' '));
  }
  await works();

  const dnsmasq = identify(Number(fs.readFileSync(path.join(lab.options.runDir, 'networks', plan.id, 'pid'), 'utf8')))!;
  signalProcess(dnsmasq, 'SIGKILL');
  await until(() => identify(dnsmasq.pid)?.startTicks !== dnsmasq.startTicks);
  assert.match((await lab.driver.reconcile()).join(' '), /name server of network net0 did not run/);

  const bridge = JSON.parse((await run('ip', ['-j', 'link', 'show', 'type', 'bridge'])).stdout) as { ifname: string }[];
  await run('ip', ['link', 'delete', bridge[0]!.ifname]);
  assert.match((await lab.driver.reconcile()).join(' '), /bridge of network net0 was gone.*Port .* is back/);
  await run('sh', ['-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward']);
  assert.match((await lab.driver.reconcile()).join(' '), /[Ff]orwarding/);
  assert.deepEqual(await lab.driver.reconcile(), []);
  await works();
  const proxy = (await run('sh', ['-c', `grep -lz ${lab.options.runDir}/proxy.sock /proc/[0-9]*/cmdline | cut -d/ -f3`])).stdout.trim().split('\n').flatMap((pid) => identify(Number(pid)) ?? []).find((one) => isProxy(one.pid))!;
  signalProcess(proxy, 'SIGKILL');
  await until(() => identify(proxy.pid)?.startTicks !== proxy.startTicks);
  assert.match((await lab.driver.reconcile()).join(' '), /published ports were not carried/);
  await lab.serve(b, 'tcp', '::', 80);
  assert.notEqual(await lab.ask(undefined, 'tcp', '::1', 8080), 'no ECONNREFUSED');
});

/** What the tests before made goes a moment after them. */
async function nothingButLo(): Promise<void> {
  await until(async () => (JSON.parse((await run('ip', ['-j', 'link'])).stdout) as unknown[]).length === 1, { what: 'nothing but lo' });
}

/** The look may meet a process that ends just then. */
function isProxy(pid: number): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('proxy\0');
  } catch {
    return false;
  }
}

test('a network that is removed leaves the host as it was', async () => {
  await using lab = await NetworkLab.open();
  await nothingButLo();
  const lan = await lab.neighbour();
  await until(async () => !(await run('ip', ['-6', 'addr'])).stdout.includes('tentative'), { what: 'the end of duplicate detection' });
  await run('nft', ['add', 'table', 'inet', 'somebody_else']);
  const before = await hostState();
  const [plan, second] = [await lab.network(), await lab.network({ isolated: true })];
  const a = await lab.sandbox(plan);
  const owner = newId();
  await lab.driver.publish(owner, [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, targetAddress: a.ports[0]!.ipv4, targetPort: 80 }]);
  await until(async () => (await lab.inside(a, ['ping', '-c1', '-W2', lan.there4])).code === 0, { what: 'a way out' });
  const none = { networks: new Set<never>(), portIds: new Set<string>() };
  const left = await lab.driver.leftovers(none);
  for (const kind of ['bridge', 'network interface', 'nft table', 'name server', 'published ports', 'lease of subnet']) assert.ok(left.some((line) => line.includes(kind)), `${kind}: ${left.join('; ')}`);
  assert.deepEqual(await lab.driver.leftovers({ networks: new Set([plan.id, second.id]), portIds: new Set(a.ports.map((port) => port.portId)) }), []);
  await lab.driver.unpublish(owner);
  await lab.driver.closeSandbox(a);
  for (const network of [plan, second]) {
    await lab.driver.removeNetwork(network.id);
    await lab.driver.releaseSubnet(network.ipv4.gateway);
  }
  await until(async () => (await lab.driver.leftovers(none)).length === 0, { what: 'the end of the last veth' });
  assert.equal(await hostState(), before);
  assert.deepEqual(fs.readdirSync(lab.options.runDir), []);
});

test('two roots live side by side, and the last one puts forwarding back', async () => {
  await using one = await NetworkLab.open();
  await nothingButLo();
  const before = await hostState();
  {
    await using two = await NetworkLab.open({ leaseDir: one.options.leaseDir });
    const [mine, theirs] = [await one.network(), await two.network()];
    assert.notEqual(mine.ipv4.gateway, theirs.ipv4.gateway);
    const [a, b] = await Promise.all([one.sandbox(mine), two.sandbox(theirs)]);
    assert.notEqual(a.idBase, b.idBase);
    assert.equal((await one.inside(a, ['ping', '-c1', '-W1', b.ports[0]!.ipv4])).code, 1);
    assert.equal((await one.inside(a, ['ping', '-c1', '-W2', mine.ipv4.gateway])).code, 0);
    await one.driver.closeSandbox(a);
    await one.driver.removeNetwork(mine.id);
    assert.equal(fs.readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1', 'the other root still needs it');
    const lan = await two.neighbour();
    assert.equal((await two.inside(b, ['ping', '-c1', '-W2', lan.there4])).code, 0);
  }
  await until(async () => (await hostState()) === before, { what: 'the host as it was' });
});

test('a killed daemon leaves no sandbox that nobody took, and the ids of those in use are not given again', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const [kept, lost] = await Promise.all([lab.sandbox(plan), lab.sandbox(plan)]);
  const unit = lab.start(kept, ['nsenter', `--user=/proc/${process.pid}/fd/${kept.userNamespaceFd}`, 'sh', '-c', 'echo up; exec sleep 1000']);
  await new Promise((resolve) => unit.stdout!.once('data', resolve));
  await lab.restart(); // closes descriptors as the end of a process does
  await lab.driver.ensureNetwork(plan);
  await lab.driver.adopt(kept, kept.ports);
  await until(async () => (await lab.driver.leftovers({ networks: new Set([plan.id]), portIds: new Set([kept.ports[0]!.portId]) })).length === 0, { what: 'the end of the sandbox that nobody took' });
  const bases = (await Promise.all(Array.from({ length: 40 }, () => lab.sandbox()))).map((sandbox) => sandbox.idBase);
  assert.ok(!bases.includes(kept.idBase));
  assert.ok(bases.includes(lost.idBase));
  assert.equal(new Set(bases).size, 40);
  const at = `/proc/${unit.pid}/ns/net`;
  assert.equal((await run('nsenter', [`--net=${at}`, 'ping', '-c1', '-W2', plan.ipv4.gateway], { allowFailure: true })).code, 0);
});

test('a sandbox is owned by its own first id, never by the host’s root', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const sandbox = await lab.sandbox(plan);
  const at = (fd: number): string => `/proc/${process.pid}/fd/${fd}`;
  const { stdout } = await lab.probeIn(undefined, ['owner', at(sandbox.userNamespaceFd), at(sandbox.networkNamespaceFd)]);
  assert.equal(stdout.trim(), `${sandbox.idBase} yes`);
  const map = await run('nsenter', [`--user=${at(sandbox.userNamespaceFd)}`, 'cat', '/proc/self/uid_map', '/proc/self/gid_map']);
  assert.deepEqual(map.stdout.trim().split('\n').map((line) => line.trim().split(/\s+/).map(Number)), [[0, sandbox.idBase, 65_536], [0, sandbox.idBase, 65_536]]);
});

test('forwarding that we turned on carries nothing between others; later ones are not our business', async () => {
  await using lab = await NetworkLab.open();
  const [one, two] = [await lab.neighbour(), await lab.neighbour()];
  await one.run(['ip', 'route', 'add', 'default', 'via', one.here4]);
  await two.run(['ip', 'route', 'add', 'default', 'via', two.here4]);
  await one.run(['ip', '-6', 'route', 'add', 'default', 'via', one.here6]);
  await two.run(['ip', '-6', 'route', 'add', 'default', 'via', two.here6]);
  const plan = await lab.network();
  const sandbox = await lab.sandbox(plan);
  for (const lan of [one, two]) for (const address of [lan.there4, lan.there6]) assert.equal((await lab.inside(sandbox, ['ping', '-c1', '-W2', address])).code, 0);
  for (const address of [two.there4, two.there6]) assert.equal((await one.run(['ping', '-c1', '-W1', address])).code, 1, address);
  // A tool that brings its own bridge afterwards relies on forwarding being on.
  const late = await lab.neighbour();
  await late.run(['ip', 'route', 'add', 'default', 'via', late.here4]);
  assert.equal((await late.run(['ping', '-c1', '-W2', two.there4])).code, 0);
});

test('an instance that starts again at once has its port again', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  const port = lab.port(plan);
  for (let round = 0; round < 5; round++) {
    const sandbox = await lab.driver.openSandbox({ ports: [port] });
    assert.equal((await lab.inside(sandbox, ['ping', '-c1', '-W2', plan.ipv4.gateway])).code, 0, `round ${round}`);
    await lab.driver.closeSandbox(sandbox);
  }
});

test('a helper that is killed is started again; who waited is told', async () => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network();
  await lab.sandbox(plan);
  const helper = /^ *(\d+) .*berth-native userns$/m.exec((await run('ps', ['--ppid', String(process.pid), '-o', 'pid=,args='])).stdout)![1];
  const waiting = Array.from({ length: 20 }, () => lab.sandbox(plan));
  signalProcess(identify(Number(helper))!, 'SIGKILL');
  const outcomes = await Promise.allSettled(waiting);
  for (const outcome of outcomes) if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'unavailable');
  const after = await lab.sandbox(plan);
  assert.equal((await lab.inside(after, ['ping', '-c1', '-W2', plan.ipv4.gateway])).code, 0);
});

test('150 sandboxes a second are made and taken away', async (t) => {
  await using lab = await NetworkLab.open();
  const plan = await lab.network({ isolated: true });
  const ports = Array.from({ length: 75 }, () => lab.port(plan));
  const wanted = 150 / PATIENCE;
  let best = 0;
  // The machine has other work: the best of some rounds is what the driver can do.
  for (let round = 1; round <= 8 && best < wanted; round++) {
    const start = performance.now();
    const sandboxes = await Promise.all(ports.map((port) => lab.driver.openSandbox({ ports: [port] })));
    const opened = performance.now();
    await Promise.all(sandboxes.map((sandbox) => lab.driver.closeSandbox(sandbox)));
    const closed = performance.now();
    const rate = ports.length / ((opened - start) / 1000);
    best = Math.max(best, rate);
    t.diagnostic(`round ${round}: ${rate.toFixed(0)} opened/s, ${(ports.length / ((closed - opened) / 1000)).toFixed(0)} closed/s`);
    await until(async () => (await lab.driver.leftovers({ networks: new Set([plan.id]), portIds: new Set() })).length === 0);
  }
  assert.ok(best >= wanted, `${best.toFixed(0)}/s`);
});
