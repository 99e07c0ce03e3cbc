/** Network interfaces, addresses and routes of this network namespace, over rtnetlink(7). */
import { isIPv4 } from 'node:net';
import { addressBytes, addressText } from '../lib/ip-address.ts';
import { attribute, attributes, attributeText, attributeU32, attributeU8, nested, NETLINK_ROUTE, NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './netlink.ts';
import type { NetlinkMessage } from './netlink.ts';

const RTM_NEWLINK = 16, RTM_DELLINK = 17, RTM_GETLINK = 18, RTM_NEWADDR = 20, RTM_GETADDR = 22, RTM_GETROUTE = 26;
const IFLA_ADDRESS = 1, IFLA_IFNAME = 3, IFLA_MTU = 4, IFLA_MASTER = 10, IFLA_LINKINFO = 18, IFLA_IFALIAS = 20, IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFLA_INFO_KIND = 1, IFLA_INFO_DATA = 2;
const IFLA_BR_STP_STATE = 5, IFLA_BR_MCAST_SNOOPING = 23, IFLA_BR_FORWARD_DELAY = 1;
const IFA_ADDRESS = 1, IFA_LOCAL = 2, IFA_FLAGS = 8;
const IFA_F_NODAD = 2;
const RTA_DST = 1, RTA_OIF = 4;
const AF_INET = 2, AF_INET6 = 10;
const IFF_UP = 1;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** `bridge`, `veth`, `tun` …; empty for plain devices. */
  readonly kind: string;
  /** Index of the bridge that it is a port of; 0 for none. */
  readonly master: number;
  /** What its maker wrote on it; survives the maker. */
  readonly alias: string;
}

export interface Prefix {
  readonly address: string;
  readonly prefixLength: number;
  /** Index of the interface; 0 when the route has none. */
  readonly link: number;
}

function linkHeader(index: number, flags = 0, change = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function textOf(bytes: Buffer | undefined): string {
  return bytes === undefined ? '' : bytes.toString('latin1').replace(/\0.*$/s, '');
}

/** A door to this namespace's interfaces; opened in the namespace that the calling thread is in. */
export class Links implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

  async list(): Promise<readonly Link[]> {
    const answers = await this.#socket.dump('list interfaces', { type: RTM_GETLINK, flags: 0, body: Buffer.concat([linkHeader(0), attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)]) });
    return answers.filter((answer) => answer.type === RTM_NEWLINK).map(({ body }) => {
      const found = attributes(body.subarray(16));
      return {
        index: body.readInt32LE(4),
        name: textOf(found.get(IFLA_IFNAME)),
        mac: (found.get(IFLA_ADDRESS)?.toString('hex') ?? '').replace(/(..)(?=.)/g, '$1:'),
        mtu: found.get(IFLA_MTU)?.readUInt32LE() ?? 0,
        up: (body.readUInt32LE(8) & IFF_UP) !== 0,
        kind: textOf(attributes(found.get(IFLA_LINKINFO) ?? Buffer.alloc(0)).get(IFLA_INFO_KIND)),
        master: found.get(IFLA_MASTER)?.readUInt32LE() ?? 0,
        alias: textOf(found.get(IFLA_IFALIAS)),
      };
    });
  }

  async addresses(): Promise<readonly Prefix[]> {
    const answers = await this.#socket.dump('list addresses', { type: RTM_GETADDR, flags: 0, body: Buffer.alloc(8) });
    return answers.filter((answer) => answer.type === RTM_NEWADDR).flatMap(({ body }) => {
      const found = attributes(body.subarray(8));
      const bytes = found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS);
      return bytes === undefined ? [] : [{ address: addressText(bytes), prefixLength: body[1]!, link: body.readUInt32LE(4) }];
    });
  }

  /** Destinations of all routes of all tables; a default route is 0.0.0.0/0 or ::/0. */
  async routes(): Promise<readonly Prefix[]> {
    const answers = await this.#socket.dump('list routes', { type: RTM_GETROUTE, flags: 0, body: Buffer.alloc(12) });
    return answers.flatMap(({ body }) => {
      const family = body[0];
      if (family !== AF_INET && family !== AF_INET6) return [];
      const found = attributes(body.subarray(12));
      const bytes = found.get(RTA_DST) ?? Buffer.alloc(family === AF_INET ? 4 : 16);
      return [{ address: addressText(bytes), prefixLength: body[1]!, link: found.get(RTA_OIF)?.readUInt32LE() ?? 0 }];
    });
  }

  /** A bridge that neither speaks STP nor keeps multicast state for its ports. */
  async createBridge(name: string, mac: string, mtu: number): Promise<void> {
    const data = nested(IFLA_INFO_DATA, attributeU32(IFLA_BR_FORWARD_DELAY, 0), attributeU32(IFLA_BR_STP_STATE, 0), attributeU8(IFLA_BR_MCAST_SNOOPING, 0));
    await this.#socket.request(`create bridge ${name}`, {
      type: RTM_NEWLINK,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: Buffer.concat([linkHeader(0), attributeText(IFLA_IFNAME, name), attribute(IFLA_ADDRESS, macBytes(mac)), attributeU32(IFLA_MTU, mtu), nested(IFLA_LINKINFO, attributeText(IFLA_INFO_KIND, 'bridge'), data)]),
    });
  }

  /** At most 255 characters of Latin-1. */
  async setAlias(index: number, alias: string): Promise<void> {
    await this.#socket.request('label an interface', { type: RTM_NEWLINK, flags: 0, body: Buffer.concat([linkHeader(index), attribute(IFLA_IFALIAS, Buffer.from(alias, 'latin1'))]) });
  }

  /** Makes it a port of the bridge with index `master`. */
  async setMaster(index: number, master: number): Promise<void> {
    await this.#socket.request('join a bridge', { type: RTM_NEWLINK, flags: 0, body: Buffer.concat([linkHeader(index), attributeU32(IFLA_MASTER, master)]) });
  }

  async setUp(index: number): Promise<void> {
    await this.#socket.request('bring an interface up', { type: RTM_NEWLINK, flags: 0, body: linkHeader(index, IFF_UP, IFF_UP) });
  }

  async setMtu(index: number, mtu: number): Promise<void> {
    await this.#socket.request('set an MTU', { type: RTM_NEWLINK, flags: 0, body: Buffer.concat([linkHeader(index), attributeU32(IFLA_MTU, mtu)]) });
  }

  /** Usable at once: IPv6 without duplicate detection, which needs a carrier that an empty bridge has not. */
  async addAddress(index: number, address: string, prefixLength: number): Promise<void> {
    const bytes = addressBytes(address);
    const header = Buffer.alloc(8);
    header[0] = isIPv4(address) ? AF_INET : AF_INET6;
    header[1] = prefixLength;
    header.writeUInt32LE(index, 4);
    const flags = isIPv4(address) ? [] : [attributeU32(IFA_FLAGS, IFA_F_NODAD)];
    await this.#socket.request(`add address ${address}`, {
      type: RTM_NEWADDR,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      body: Buffer.concat([header, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes), ...flags]),
    });
  }

  async remove(index: number): Promise<void> {
    await this.#socket.request('remove an interface', { type: RTM_DELLINK, flags: 0, body: linkHeader(index) });
  }

  /** Raw messages, for what has no method here. */
  send(what: string, message: NetlinkMessage): Promise<void> {
    return this.#socket.request(what, message);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
