/** What every network driver must do, as node:test cases. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BerthError } from '../../model/errors.ts';
import type { ErrorCode } from '../../model/errors.ts';
import type { ObjectId } from '../../model/ids.ts';
import type { NetworkDriver, NetworkPlan, PortPlan, PublishedPort, Sandbox } from './driver.ts';

/** A host of its own for one case. */
export interface NetworkBench extends AsyncDisposable {
  readonly driver: NetworkDriver;
  /** The driver ends as its daemon would, and the next one begins on the same host. */
  reopen(): Promise<NetworkDriver>;
  /** Something runs in the sandbox from now on, until the bench closes. */
  occupy(sandbox: Sandbox): Promise<void>;
  /** What is gone takes a moment to be gone: resolves when the condition holds. */
  eventually(condition: () => Promise<boolean>): Promise<void>;
}

/** The networks that the cases make; a bench takes away what is left of them. */
export const A = 'aaaaaaaaaaaa' as ObjectId;
export const B = 'bbbbbbbbbbbb' as ObjectId;
const OWNER = 'cccccccccccc' as ObjectId;
const OTHER = 'dddddddddddd' as ObjectId;
const RANGE = 65_536;

async function plan(driver: NetworkDriver, id: ObjectId, wish: Partial<NetworkPlan> = {}): Promise<NetworkPlan> {
  const made: NetworkPlan = { id, name: `net-${id.slice(0, 1)}`, project: 'default', isolated: false, internal: false, mtu: 1500, ...(await driver.leaseSubnet()), ...wish };
  await driver.ensureNetwork(made);
  return made;
}

function port(network: NetworkPlan, number: number): PortPlan {
  const digits = String(number).padStart(2, '0');
  const beside = (gateway: string): string => gateway.replace(/1$/, digits);
  return { portId: `port${network.id.slice(0, 2)}${digits}`, network: network.id, interfaceName: 'eth0', mac: `02:00:00:00:00:${digits}`, ipv4: beside(network.ipv4.gateway), ipv6: beside(network.ipv6.gateway) };
}

const published = (hostPort: number, target: PortPlan, hostAddress = '127.0.0.1'): PublishedPort => ({ protocol: 'tcp', hostAddress, hostPort, targetAddress: target.ipv4, targetPort: 80 });
const known = (networks: readonly ObjectId[], ports: readonly PortPlan[]) => ({ networks: new Set(networks), portIds: new Set(ports.map(({ portId }) => portId)) });

async function refuses(code: ErrorCode, work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof BerthError, String(error));
    assert.equal(error.code, code);
    return true;
  });
}

export function networkContract(name: string, openBench: () => Promise<NetworkBench>): void {
  function check(title: string, body: (bench: NetworkBench) => Promise<void>): void {
    it(title, async () => {
      await using bench = await openBench();
      await body(bench);
    });
  }

  describe(`network contract: ${name}`, () => {
    check('a network is made once, however often it is asked for, and names its servers', async ({ driver }) => {
      const network = await plan(driver, A);
      await driver.ensureNetwork(network);
      assert.deepEqual(driver.nameservers(A), [network.ipv4.gateway, network.ipv6.gateway]);
      assert.deepEqual(await driver.leftovers(known([A], [])), []);
      assert.deepEqual(await driver.reconcile(), []);
      await driver.removeNetwork(A);
      await driver.removeNetwork(A);
      await driver.releaseSubnet(network.ipv4.gateway);
      assert.deepEqual(await driver.leftovers(known([], [])), []);
      assert.throws(() => driver.nameservers(A), { code: 'notFound' });
    });

    check('subnets are leased once', async ({ driver }) => {
      const [one, two] = [await driver.leaseSubnet(), await driver.leaseSubnet()];
      assert.notEqual(one.ipv4.gateway, two.ipv4.gateway);
      assert.notEqual(one.ipv6.gateway, two.ipv6.gateway);
      const wanted = await driver.leaseSubnet({ ipv4: '10.77.5.0/24' });
      assert.deepEqual(wanted.ipv4, { gateway: '10.77.5.1', prefixLength: 24 });
      await refuses('alreadyExists', driver.leaseSubnet({ ipv4: '10.77.5.0/24' }));
      await refuses('invalid', driver.leaseSubnet({ ipv4: 'not a subnet' }));
      await driver.releaseSubnet(wanted.ipv4.gateway);
      await driver.leaseSubnet({ ipv4: '10.77.5.0/24' });
      for (const lease of [one, two, wanted]) await driver.releaseSubnet(lease.ipv4.gateway);
    });

    check('sandboxes have ranges and ports of their own and give them back', async ({ driver, eventually }) => {
      const network = await plan(driver, A);
      const [one, two, none] = await Promise.all([driver.openSandbox({ ports: [port(network, 11)] }), driver.openSandbox({ ports: [port(network, 12)] }), driver.openSandbox({ ports: [] })]);
      const bases = [one, two, none].map((sandbox) => sandbox.idBase).toSorted((a, b) => a - b);
      assert.equal(one.idCount, RANGE);
      for (const [i, base] of bases.entries()) if (i > 0) assert.ok(base - bases[i - 1]! >= RANGE);
      assert.ok(bases[0]! >= RANGE, 'never the host’s own ids');
      assert.equal(new Set([one, two, none].flatMap((sandbox) => [sandbox.userNamespaceFd, sandbox.networkNamespaceFd])).size, 6);
      assert.deepEqual(await driver.leftovers(known([A], [...one.ports, ...two.ports])), []);
      assert.equal((await driver.leftovers(known([A], one.ports))).length, 1);
      for (const sandbox of [one, two, none, none]) await driver.closeSandbox(sandbox);
      await eventually(async () => (await driver.leftovers(known([A], []))).length === 0);
    });

    check('a sandbox on an unknown network, and its range, come to nothing', async ({ driver }) => {
      const network = await plan(driver, A);
      await refuses('notFound', driver.openSandbox({ ports: [{ ...port(network, 11), network: B }] }));
      await refuses('notFound', driver.prepareTap({ ...port(network, 11), network: B }));
      assert.deepEqual(await driver.leftovers(known([A], [])), []);
    });

    check('what no unit took ends with the daemon, what a unit took goes on', async (bench) => {
      const network = await plan(bench.driver, A);
      const [taken, pooled] = [await bench.driver.openSandbox({ ports: [port(network, 11)] }), await bench.driver.openSandbox({ ports: [port(network, 12)] })];
      await bench.occupy(taken);
      await bench.driver.handOver(taken);
      const next = await bench.reopen();
      await next.ensureNetwork(network);
      await next.adopt(taken, taken.ports);
      await bench.eventually(async () => (await next.leftovers(known([A], taken.ports))).length === 0);
      const others = await Promise.all(Array.from({ length: 5 }, () => next.openSandbox({ ports: [] })));
      assert.ok(others.every((sandbox) => sandbox.idBase !== taken.idBase));
      for (const sandbox of others) await next.closeSandbox(sandbox);
      await next.release(taken, taken.ports);
      await next.release(taken, taken.ports);
      await next.release(undefined, pooled.ports);
    });

    check('what went through ports is told for those that are there', async ({ driver }) => {
      const network = await plan(driver, A);
      const sandbox = await driver.openSandbox({ ports: [port(network, 11), { ...port(network, 12), interfaceName: 'eth1' }] });
      const traffic = await driver.traffic([...sandbox.ports.map(({ portId }) => portId), port(network, 13).portId]);
      assert.deepEqual([...traffic.keys()], sandbox.ports.map(({ portId }) => portId));
      for (const { receivedBytes, sentBytes } of traffic.values()) assert.ok(Number.isSafeInteger(receivedBytes) && Number.isSafeInteger(sentBytes));
      await driver.closeSandbox(sandbox);
    });

    check('a tap has a name that fits and a bridge', async ({ driver }) => {
      const network = await plan(driver, A);
      const one = await driver.prepareTap(port(network, 11));
      const two = await driver.prepareTap(port(network, 12));
      assert.notEqual(one.name, two.name);
      assert.equal(one.bridge, two.bridge);
      for (const text of [one.name, two.name, one.bridge]) assert.match(text, /^[a-z][0-9a-z]{1,14}$/);
      assert.deepEqual(await driver.prepareTap(port(network, 11)), one, 'asked again, the same');
      await driver.release(undefined, [port(network, 11), port(network, 12)]);
    });

    check('names belong to owners; taking away what is not there is no error', async ({ driver }) => {
      const network = await plan(driver, A);
      await driver.setNames(A, OWNER, [{ name: 'web', addresses: [port(network, 11).ipv4] }]);
      await driver.setNames(A, OTHER, [{ name: 'web', addresses: [port(network, 12).ipv4] }]);
      await driver.setNames(A, OWNER, []);
      await driver.setNames(A, OWNER, []);
      await driver.setNames(B, OWNER, []);
      await refuses('notFound', driver.setNames(B, OWNER, [{ name: 'web', addresses: [port(network, 11).ipv4] }]));
    });

    check('a published port has one owner, who may change it', async ({ driver }) => {
      const network = await plan(driver, A);
      const target = port(network, 11);
      await driver.publish(OWNER, [published(28_080, target), published(28_081, target)]);
      await driver.publish(OWNER, [published(28_080, target), published(28_082, target)]);
      await refuses('alreadyExists', driver.publish(OTHER, [published(28_083, target), published(28_080, target)]));
      await driver.publish(OTHER, [published(28_081, target), published(28_083, target)]);
      await driver.unpublish(OWNER);
      await driver.unpublish(OWNER);
      await driver.publish(OTHER, [published(28_080, target)]);
      await driver.unpublish(OTHER);
      assert.deepEqual(await driver.leftovers(known([A], [])), []);
    });

    check('the next daemon takes over what is published', async (bench) => {
      const network = await plan(bench.driver, A);
      const target = port(network, 11);
      await bench.driver.publish(OWNER, [published(28_080, target)]);
      const next = await bench.reopen();
      await next.ensureNetwork(network);
      await next.publish(OWNER, [published(28_080, target)]);
      await refuses('alreadyExists', next.publish(OTHER, [published(28_080, target)]));
      await next.unpublish(OWNER);
      await next.publish(OTHER, [published(28_080, target)]);
      await next.unpublish(OTHER);
    });

    check('removing one network leaves the other', async ({ driver }) => {
      const [one, two] = [await plan(driver, A), await plan(driver, B, { isolated: true })];
      const sandbox = await driver.openSandbox({ ports: [port(two, 11)] });
      await driver.removeNetwork(A);
      await driver.releaseSubnet(one.ipv4.gateway);
      assert.deepEqual(await driver.leftovers(known([B], sandbox.ports)), []);
      assert.deepEqual(await driver.reconcile(), []);
      await driver.closeSandbox(sandbox);
    });
  });
}
