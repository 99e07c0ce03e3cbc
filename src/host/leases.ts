/** Id ranges, users of virtual machines, subnets and published ports: leased per root, so that several roots never collide. */
import crypto from 'node:crypto';
import fs from 'node:fs';
import { addressBytes, addressText, canonicalAddress, networkAddress, overlaps } from '../lib/ip-address.ts';
import { BerthError } from '../model/errors.ts';
import { claimedIds, HOST_CLAIMS } from './claimed-ids.ts';
import type { ClaimSources } from './claimed-ids.ts';
import { IdPool } from './id-pool.ts';
import type { IdPoolShape, LeaseChunk } from './id-pool.ts';
import { LeaseDirectory } from './lease-directory.ts';
import type { LeaseOwner, PortLease, RootLeases, SubnetLease } from './lease-directory.ts';
import { Links } from './links.ts';
import type { Prefix } from './links.ts';

/** Ids of one sandbox. */
export const IDS_PER_RANGE = 65_536;
/**
 * Above what systemd gives to nspawn (up to 0x6fffffff) and below 2³¹, where signed ids begin; then the nspawn part,
 * which is free on hosts without it.
 */
const RANGES: IdPoolShape = { areas: [{ first: 0x70000000, last: 0x7ffeffff }, { first: 0x10000000, last: 0x6fffffff }], step: IDS_PER_RANGE, stepsPerChunk: 256 };
/** One user for each virtual machine's QEMU. */
const VM_UIDS: IdPoolShape = { areas: [{ first: 0x7fff0000, last: 0x7fffffef }], step: 1, stepsPerChunk: 256 };

export interface LeasesOptions extends LeaseOwner {
  readonly claims?: ClaimSources | undefined;
  /** resolv.conf of the host: its servers must stay reachable. */
  readonly resolvConf?: string | undefined;
}

/** Prefix and gateway of a leased subnet. */
export interface Subnet {
  readonly ipv4: { readonly gateway: string; readonly prefixLength: number };
  readonly ipv6: { readonly gateway: string; readonly prefixLength: number };
}

export class Leases {
  readonly #directory: LeaseDirectory;
  readonly #claims: ClaimSources;
  readonly #resolvConf: string;
  readonly #ranges: IdPool;
  readonly #vmUids: IdPool;
  readonly #heldChunks = new Set<number>();
  #loading: Promise<void> | undefined;

  constructor(options: LeasesOptions) {
    this.#directory = new LeaseDirectory(options);
    this.#claims = options.claims ?? HOST_CLAIMS;
    this.#resolvConf = options.resolvConf ?? '/etc/resolv.conf';
    this.#ranges = new IdPool(RANGES, this.#chunksOf('idChunks'));
    this.#vmUids = new IdPool(VM_UIDS, this.#chunksOf('vmUidChunks'));
  }

  get directory(): LeaseDirectory {
    return this.#directory;
  }

  /** First id of a range of IDS_PER_RANGE that nobody on this host has; answered from memory, but for every 256th. */
  async takeIdRange(): Promise<number> {
    await this.#load();
    return this.#ranges.take();
  }

  /** A running unit of an earlier daemon has it. */
  async keepIdRange(base: number): Promise<void> {
    await this.#load();
    this.#ranges.keep(base);
    const chunk = this.#ranges.chunkOf(base);
    if (chunk === undefined || this.#heldChunks.has(chunk)) return;
    this.#heldChunks.add(chunk);
    await this.#directory.locked(async (own) => (own.idChunks.includes(chunk) ? { result: undefined } : { own: { ...own, idChunks: [...own.idChunks, chunk] }, result: undefined }));
  }

  async giveIdRange(base: number): Promise<void> {
    await this.#load();
    this.#ranges.give(base);
  }

  /** A user id for one virtual machine's QEMU. */
  async takeVmUid(): Promise<number> {
    await this.#load();
    return this.#vmUids.take();
  }

  async keepVmUid(uid: number): Promise<void> {
    await this.#load();
    this.#vmUids.keep(uid);
  }

  async giveVmUid(uid: number): Promise<void> {
    await this.#load();
    this.#vmUids.give(uid);
  }

  /** `wanted` is a prefix like 10.5.0.0/24 (length 16–28). `alreadyExists` when a part of it is in use. */
  async takeSubnet(wanted?: string): Promise<Subnet> {
    const prefix = wanted === undefined ? undefined : parsePrefix(wanted);
    return this.#directory.locked(async (own, others) => {
      const taken = await this.#takenPrefixes([own, ...others]);
      const free = (candidate: { address: string; prefixLength: number }): boolean => !taken.some((other) => overlaps(candidate, other));
      const ipv4 = prefix ?? candidates().find(free);
      if (ipv4 === undefined) throw new BerthError('exhausted', 'No private IPv4 subnet is free on this host.', { hint: 'Name one with --subnet, or remove networks that nobody uses.' });
      if (!free(ipv4)) throw new BerthError('alreadyExists', `The subnet ${ipv4.address}/${ipv4.prefixLength} overlaps an address, route or network of this host.`, { hint: 'Choose another, or let Berth choose.' });
      let ipv6 = { address: randomPrefix(), prefixLength: 64 };
      while (!free(ipv6)) ipv6 = { address: randomPrefix(), prefixLength: 64 };
      const subnet: Subnet = { ipv4: { gateway: firstHost(ipv4.address), prefixLength: ipv4.prefixLength }, ipv6: { gateway: firstHost(ipv6.address), prefixLength: 64 } };
      const lease: SubnetLease = { ipv4: `${subnet.ipv4.gateway}/${subnet.ipv4.prefixLength}`, ipv6: `${subnet.ipv6.gateway}/64` };
      return { own: { ...own, subnets: [...own.subnets, lease] }, result: subnet };
    });
  }

  /** An earlier daemon leased it, or the directory was lost with a reboot. */
  async keepSubnet(subnet: Subnet): Promise<void> {
    const lease: SubnetLease = { ipv4: `${subnet.ipv4.gateway}/${subnet.ipv4.prefixLength}`, ipv6: `${subnet.ipv6.gateway}/${subnet.ipv6.prefixLength}` };
    await this.#directory.locked(async (own) => (own.subnets.some((other) => other.ipv4 === lease.ipv4)
      ? { result: undefined }
      : { own: { ...own, subnets: [...own.subnets, lease] }, result: undefined }));
  }

  async giveSubnet(ipv4Gateway: string): Promise<void> {
    await this.#directory.locked(async (own) => ({ own: { ...own, subnets: own.subnets.filter((lease) => !lease.ipv4.startsWith(`${ipv4Gateway}/`)) }, result: undefined }));
  }

  /** Makes `wanted` this root's published ports in place of `before`; names the root that has one of them. */
  async changePorts(before: readonly PortLease[], wanted: readonly PortLease[]): Promise<void> {
    if (before.length === 0 && wanted.length === 0) return;
    await this.#directory.locked(async (own, others) => {
      for (const port of wanted) {
        const holder = others.find((other) => other.ports.some((held) => portsCollide(held, port)));
        if (holder !== undefined) throw portTaken(port, `the Berth root ${holder.rootDir}`);
      }
      const kept = own.ports.filter((held) => ![...before, ...wanted].some((port) => samePort(held, port)));
      return { own: { ...own, ports: [...kept, ...wanted] }, result: undefined };
    });
  }

  /** Makes these all that this root publishes. */
  async settlePorts(ports: readonly PortLease[]): Promise<void> {
    await this.#directory.locked(async (own) => (own.ports.length === ports.length && own.ports.every((held) => ports.some((port) => samePort(held, port)))
      ? { result: undefined }
      : { own: { ...own, ports }, result: undefined }));
  }

  /** What this root holds, as written. */
  held(): Promise<RootLeases> {
    return this.#directory.locked(async (own) => ({ result: own }));
  }

  /** Everything of this root, for a removal. */
  forget(): Promise<void> {
    return this.#directory.forget();
  }

  #load(): Promise<void> {
    this.#loading ??= this.#loadOnce().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** What an earlier daemon leased is ours; ranges that live processes are mapped to stay taken until they are given back. */
  async #loadOnce(): Promise<void> {
    const own = await this.held();
    if (own.idChunks.length + own.vmUidChunks.length === 0) return;
    const live = await claimedIds(this.#claims);
    for (const chunk of own.idChunks) {
      this.#heldChunks.add(chunk);
      this.#ranges.inherit(chunk, live);
    }
    for (const chunk of own.vmUidChunks) this.#vmUids.inherit(chunk, live);
  }

  #chunksOf(field: 'idChunks' | 'vmUidChunks'): LeaseChunk {
    return async (choose) => {
      const claims = await claimedIds(this.#claims);
      return this.#directory.locked(async (own, others) => {
        const chunk = choose(new Set([own, ...others].flatMap((root) => root[field])), claims);
        if (chunk === undefined) throw new BerthError('exhausted', 'No user and group ids are free on this host.', { hint: 'Each container needs 65,536 ids of its own; remove instances or ranges in /etc/subuid.' });
        if (field === 'idChunks') this.#heldChunks.add(chunk);
        return { own: { ...own, [field]: [...own[field], chunk] }, result: chunk };
      });
    };
  }

  async #takenPrefixes(roots: readonly RootLeases[]): Promise<readonly { address: string; prefixLength: number }[]> {
    using links = new Links();
    const held = roots.flatMap((root) => root.subnets.flatMap((lease) => [lease.ipv4, lease.ipv6])).map((text) => {
      const [address, length] = text.split('/');
      return { address: address!, prefixLength: Number(length) };
    });
    const real = (prefix: Prefix): boolean => prefix.prefixLength > 0;
    const resolvers = await fs.promises.readFile(this.#resolvConf, 'latin1').catch(() => '');
    const servers = [...resolvers.matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, server]) => {
      try {
        const address = canonicalAddress(server!);
        return [{ address, prefixLength: addressBytes(address).length * 8 }];
      } catch {
        return [];
      }
    });
    return [...held, ...servers, ...(await links.addresses()), ...(await links.routes()).filter(real)];
  }
}

function parsePrefix(text: string): { address: string; prefixLength: number } {
  const match = /^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/.exec(text);
  const prefixLength = Number(match?.[2]);
  try {
    if (match === null || prefixLength < 16 || prefixLength > 28) throw new TypeError('not a prefix');
    return { address: networkAddress(match[1]!, prefixLength), prefixLength };
  } catch {
    throw new BerthError('invalid', `'${text.slice(0, 60)}' is not an IPv4 subnet.`, { hint: 'Write it like 10.5.0.0/24; lengths 16 to 28 are allowed.' });
  }
}

/** 10.89.0.0/20 first, then the rest of 10.64.0.0/10, which fewer sites use than 10.0, 172.17 or 192.168. */
function candidates(): { address: string; prefixLength: number }[] {
  const list = [];
  for (let i = 0; i < 64; i++) for (let third = 0; third < 256; third += 16) list.push({ address: `10.${64 + ((25 + i) % 64)}.${third}.0`, prefixLength: 20 });
  return list;
}

/** A unique local /64 (RFC 4193): fd, 40 random bits, 16 more for the subnet. */
function randomPrefix(): string {
  return addressText(Buffer.concat([Buffer.from([0xfd]), crypto.randomBytes(7), Buffer.alloc(8)]));
}

function firstHost(network: string): string {
  const bytes = addressBytes(network);
  bytes[bytes.length - 1] = bytes.at(-1)! | 1;
  return addressText(bytes);
}

function samePort(a: PortLease, b: PortLease): boolean {
  return a.protocol === b.protocol && a.port === b.port && a.address === b.address;
}

/** As bind(2) sees it: the wildcard of a family collides with every address of it. */
export function portsCollide(a: PortLease, b: PortLease): boolean {
  if (a.protocol !== b.protocol || a.port !== b.port || a.address.includes(':') !== b.address.includes(':')) return false;
  return a.address === b.address || [a.address, b.address].some((address) => address === '0.0.0.0' || address === '::');
}

export function portTaken(port: PortLease, holder: string): BerthError {
  const address = port.address.includes(':') ? `[${port.address}]` : port.address;
  return new BerthError('alreadyExists', `Port ${address}:${port.port}/${port.protocol} is in use by ${holder}.`, {
    hint: 'Publish another host port, or stop what listens there.',
    details: { protocol: port.protocol, hostAddress: port.address, hostPort: port.port },
  });
}
