/** IPv4 and IPv6 addresses as bytes and as text, and the little arithmetic that subnets need. */
import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 bytes. Throws a TypeError when it is no address; a zone (`%eth0`) is none. */
export function addressBytes(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) throw new TypeError(`not an IP address: ${text.slice(0, 60)}`);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain = dotted === null ? text : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  const bytes = Buffer.alloc(16);
  all.forEach((group, i) => bytes.writeUInt16BE(group, 2 * i));
  return bytes;
}

/** The canonical text (RFC 5952). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return [...bytes].join('.');
  if (bytes.length !== 16) throw new TypeError('an address has 4 or 16 bytes');
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const text = groups.map((group) => group.toString(16));
  if (best.at < 0) return text.join(':');
  return `${text.slice(0, best.at).join(':')}::${text.slice(best.at + best.length).join(':')}`;
}

/** Same address, same text. */
export function canonicalAddress(text: string): string {
  return addressText(addressBytes(text));
}

/** Do the two prefixes share an address? Different families never do. */
export function overlaps(a: { readonly address: string; readonly prefixLength: number }, b: { readonly address: string; readonly prefixLength: number }): boolean {
  const left = addressBytes(a.address);
  const right = addressBytes(b.address);
  return left.length === right.length && sharePrefix(left, right, Math.min(a.prefixLength, b.prefixLength));
}

/** Are the first `bits` the same? Both addresses are of one family. */
export function sharePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let i = 0; i < bits >> 3; i++) if (a[i] !== b[i]) return false;
  const rest = bits & 7;
  return rest === 0 || (a[bits >> 3]! ^ b[bits >> 3]!) >> (8 - rest) === 0;
}

/** The first address of a prefix: 10.89.0.1/24 → 10.89.0.0. */
export function networkAddress(address: string, prefixLength: number): string {
  const bytes = addressBytes(address);
  for (let i = 0; i < bytes.length; i++) {
    const keep = Math.max(0, Math.min(8, prefixLength - 8 * i));
    bytes[i] = bytes[i]! & (0xff << (8 - keep));
  }
  return addressText(bytes);
}

/** The link-local address that a kernel derives from a MAC (RFC 4291 appendix A). */
export function linkLocalOf(mac: string): string {
  const m = mac.split(':').map((part) => Number.parseInt(part, 16));
  return addressText(Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0]! ^ 2, m[1]!, m[2]!, 0xff, 0xfe, m[3]!, m[4]!, m[5]!]));
}
