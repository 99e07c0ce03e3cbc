/**
 * Published ports. Whoever reaches the host from outside, or by an address that is not loopback, is translated by a
 * rule. A small process holds the port itself: it carries what comes over loopback, and nobody else can listen there.
 */
import net from 'node:net';
import path from 'node:path';
import { canonicalAddress } from '../../../lib/ip-address.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { PortLease } from '../../../host/lease-directory.ts';
import { Conntrack } from '../../../host/conntrack.ts';
import { portsCollide, portTaken } from '../../../host/leases.ts';
import type { Leases } from '../../../host/leases.ts';
import { PortProxy } from '../../../host/port-proxy.ts';
import type { PortRefused, ProxiedPort } from '../../../host/port-proxy.ts';
import type { PublishedPort } from '../driver.ts';
import { publishedFacts } from './facts.ts';
import type { RuleKeeper } from './rule-keeper.ts';

export interface PublisherOptions {
  readonly rules: RuleKeeper;
  readonly leases: Leases;
  readonly program: string;
  readonly runDir: string;
}

/** nobody:nogroup */
const PROXY_UID = 65_534, PROXY_GID = 65_534;
const NOTHING: readonly PublishedPort[] = [];

export class Publisher implements Disposable {
  readonly #rules: RuleKeeper;
  readonly #leases: Leases;
  readonly #proxy: PortProxy;
  readonly #connections = new Conntrack();
  readonly #owners = new Map<ObjectId, readonly PublishedPort[]>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ rules, leases, program, runDir }: PublisherOptions) {
    this.#rules = rules;
    this.#leases = leases;
    this.#proxy = new PortProxy({ program, socketPath: path.join(runDir, 'proxy.sock'), uid: PROXY_UID, gid: PROXY_GID });
  }

  /** All or nothing: a port that cannot be had is known before anything changed. */
  publish(owner: ObjectId, wanted: readonly PublishedPort[]): Promise<void> {
    const ports = wanted.map(checkedPort);
    return this.#exclusive(() => this.#change(owner, ports));
  }

  unpublish(owner: ObjectId): Promise<void> {
    return this.#exclusive(() => this.#change(owner, NOTHING));
  }

  /** Makes leases and proxy as the owners say; a sentence for what had to be done. */
  repair(): Promise<readonly string[]> {
    return this.#exclusive(async () => {
      const said: string[] = [];
      const wanted = [...this.#owners.values()].flat();
      const carried = await this.#proxy.list();
      const missing = wanted.filter((port) => !carried.some((other) => sameBinding(other, proxied(port)) && other.targetAddress === port.targetAddress && other.targetPort === port.targetPort));
      const stale = carried.filter((port) => !wanted.some((other) => sameBinding(proxied(other), port)));
      if (stale.length > 0) await this.#proxy.change(stale, []);
      if (missing.length > 0) {
        try {
          await this.#proxy.change([], missing.map(proxied));
          said.push(`${missing.length} published ports were not carried on loopback; they are again.`);
        } catch (error) {
          said.push(refusal(error).message);
        }
      }
      await this.#leases.settlePorts(wanted.map(lease));
      return said;
    });
  }

  /** Published ports that this root leased and nobody owns. */
  async leftovers(): Promise<readonly string[]> {
    const wanted = [...this.#owners.values()].flat();
    const { ports } = await this.#leases.held();
    return ports.filter((port) => !wanted.some((other) => other.protocol === port.protocol && other.hostAddress === port.address && other.hostPort === port.port)).map((port) => `lease of port ${port.address} ${port.port}/${port.protocol}`);
  }

  /** Whether the process that holds the ports runs. */
  async running(): Promise<boolean> {
    return (await this.#proxy.process()) !== undefined;
  }

  /** Nothing is published any more, and nothing runs for it. */
  remove(): Promise<void> {
    return this.#exclusive(async () => {
      await this.#proxy.quit();
      this.#owners.clear();
      await this.#leases.settlePorts([]);
    });
  }

  [Symbol.dispose](): void {
    this.#proxy[Symbol.dispose]();
    this.#connections[Symbol.dispose]();
  }

  async #change(owner: ObjectId, ports: readonly PublishedPort[]): Promise<void> {
    const before = this.#owners.get(owner) ?? NOTHING;
    if (before.length + ports.length === 0) return;
    for (const [i, port] of ports.entries()) {
      if (ports.slice(0, i).some((other) => portsCollide(lease(other), lease(port)))) throw new BerthError('invalid', `Port ${port.hostAddress}:${port.hostPort}/${port.protocol} is published twice.`);
      for (const [other, theirs] of this.#owners) if (other !== owner && theirs.some((held) => portsCollide(lease(held), lease(port)))) throw portTaken(lease(port), 'another instance');
    }
    await this.#leases.changePorts(before.map(lease), ports.map(lease));
    try {
      await this.#proxy.change(before.map(proxied), ports.map(proxied));
    } catch (error) {
      await this.#leases.changePorts(ports.map(lease), before.map(lease));
      throw refusal(error);
    }
    await this.#rules.set(`published:${owner}`, ports.flatMap(publishedFacts));
    for (const { protocol, targetAddress, targetPort } of before) {
      const stays = ports.some((port) => port.protocol === protocol && port.targetAddress === targetAddress && port.targetPort === targetPort);
      if (!stays) await this.#connections.forget({ protocol, address: targetAddress, port: targetPort });
    }
    if (ports.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, ports);
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function checkedPort(port: PublishedPort): PublishedPort {
  const number = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 65_535;
  const good = ['tcp', 'udp'].includes(port.protocol) && net.isIP(port.hostAddress) > 0 && net.isIP(port.targetAddress) === net.isIP(port.hostAddress) && !port.hostAddress.includes('%') && !port.targetAddress.includes('%') && number(port.hostPort) && number(port.targetPort);
  if (!good) throw new BerthError('invalid', 'A published port needs a protocol, two addresses of one family and two ports of 1–65535.');
  return { ...port, hostAddress: canonicalAddress(port.hostAddress), targetAddress: canonicalAddress(port.targetAddress) };
}

const lease = ({ protocol, hostAddress, hostPort }: PublishedPort): PortLease => ({ protocol, address: hostAddress, port: hostPort });
const proxied = ({ protocol, hostAddress, hostPort, targetAddress, targetPort }: PublishedPort): ProxiedPort => ({ protocol, address: hostAddress, port: hostPort, targetAddress, targetPort });
const sameBinding = (a: ProxiedPort, b: ProxiedPort): boolean => a.protocol === b.protocol && a.address === b.address && a.port === b.port;

function refusal(error: unknown): Error {
  const { code, port } = error as Partial<PortRefused>;
  if (port === undefined) return error as Error;
  const held: PortLease = { protocol: port.protocol, address: port.address, port: port.port };
  if (code === 'EADDRINUSE') return portTaken(held, 'another program on this host');
  if (code === 'EADDRNOTAVAIL') return new BerthError('invalid', `${port.address} is not an address of this host.`, { hint: 'Publish on 127.0.0.1, 0.0.0.0 or an address that `ip address` shows.', cause: error });
  return new BerthError('internal', `Could not publish ${port.address}:${port.port}/${port.protocol}: ${(error as Error).message}`, { cause: error });
}
