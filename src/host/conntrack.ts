/** Connections that the kernel tracks, over nfnetlink: those that were translated to a target that is no more. */
import { addressBytes } from '../lib/ip-address.ts';
import { attribute, attributes, attributeU32, attributeU8, nested, NETLINK_NETFILTER, NetlinkSocket } from './netlink.ts';

const GET = (1 << 8) | 1, DELETE = (1 << 8) | 2;
const CTA_TUPLE_ORIG = 1, CTA_TUPLE_REPLY = 2, CTA_ID = 12, CTA_FILTER = 25;
const CTA_TUPLE_IP = 1, CTA_TUPLE_PROTO = 2, CTA_IP_V4_SRC = 1, CTA_IP_V6_SRC = 3, CTA_PROTO_NUM = 1, CTA_PROTO_SRC_PORT = 2;
const CTA_FILTER_ORIG_FLAGS = 1, CTA_FILTER_REPLY_FLAGS = 2;
const BY_PROTOCOL = 8, BY_SOURCE_PORT = 16;
const AF_INET = 2, AF_INET6 = 10;

export interface ConnectionTarget {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
}

export class Conntrack implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);

  /**
   * Forgets every connection that is answered from this address and port; the next packet of each is looked at anew.
   * A caller that keeps sending would else keep a datagram "connection" to a former target alive for ever.
   */
  async forget({ protocol, address, port }: ConnectionTarget): Promise<number> {
    const four = !address.includes(':');
    const head = Buffer.from([four ? AF_INET : AF_INET6, 0, 0, 0]);
    // Not by address: kernels up to 6.18 compare IPv6 addresses the wrong way round there.
    const reply = nested(
      CTA_TUPLE_REPLY,
      nested(CTA_TUPLE_PROTO, attributeU8(CTA_PROTO_NUM, protocol === 'tcp' ? 6 : 17), attribute(CTA_PROTO_SRC_PORT, Buffer.from([port >> 8, port & 255]))),
    );
    const filter = nested(CTA_FILTER, attributeU32(CTA_FILTER_ORIG_FLAGS, 0), attributeU32(CTA_FILTER_REPLY_FLAGS, BY_PROTOCOL | BY_SOURCE_PORT));
    const found = await this.#socket.dump('list connections', { type: GET, flags: 0, body: Buffer.concat([head, reply, filter]) });
    let forgotten = 0;
    for (const { body } of found) {
      const parts = attributes(body.subarray(4));
      const [original, answered, id] = [parts.get(CTA_TUPLE_ORIG), parts.get(CTA_TUPLE_REPLY), parts.get(CTA_ID)];
      if (original === undefined || answered === undefined || id === undefined) continue;
      const from = attributes(attributes(answered).get(CTA_TUPLE_IP) ?? Buffer.alloc(0)).get(four ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);
      if (from === undefined || !from.equals(addressBytes(address))) continue;
      forgotten++;
      await this.#socket.request('forget a connection', { type: DELETE, flags: 0, body: Buffer.concat([head, nested(CTA_TUPLE_ORIG, original), attribute(CTA_ID, id)]) }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error; // it ended by itself
      });
    }
    return forgotten;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
