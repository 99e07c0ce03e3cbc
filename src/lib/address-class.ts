/** What kind of place an IP address is (the IANA special-purpose registries): may somebody be led there by a stranger? */
import { addressBytes, addressText, sharePrefix } from './ip-address.ts';

/** `local`: link-local, metadata services among them · `reserved`: nobody's, multicast, documentation, this host in general */
export type AddressClass = 'public' | 'private' | 'loopback' | 'local' | 'reserved';

const V4: readonly (readonly [string, number, AddressClass])[] = [
  ['0.0.0.0', 8, 'reserved'], ['10.0.0.0', 8, 'private'], ['100.64.0.0', 10, 'private'], ['127.0.0.0', 8, 'loopback'], ['169.254.0.0', 16, 'local'],
  ['172.16.0.0', 12, 'private'], ['192.0.0.0', 24, 'reserved'], ['192.0.2.0', 24, 'reserved'], ['192.88.99.0', 24, 'reserved'], ['192.168.0.0', 16, 'private'],
  ['198.18.0.0', 15, 'reserved'], ['198.51.100.0', 24, 'reserved'], ['203.0.113.0', 24, 'reserved'], ['224.0.0.0', 4, 'reserved'], ['240.0.0.0', 4, 'reserved'],
];

const V6: readonly (readonly [string, number, AddressClass])[] = [
  ['::1', 128, 'loopback'], ['fe80::', 10, 'local'], ['fec0::', 10, 'private'], ['fc00::', 7, 'private'], ['2001::', 23, 'reserved'], ['2001:db8::', 32, 'reserved'],
  ['3fff::', 20, 'reserved'], ['100::', 64, 'reserved'], ['5f00::', 16, 'reserved'], ['ff00::', 8, 'reserved'],
];

/** An IPv4 address within an IPv6 one is judged as itself: mapped, compatible, NAT64, 6to4. */
const EMBEDDED: readonly (readonly [string, number, number])[] = [['::ffff:0:0', 96, 12], ['64:ff9b::', 96, 12], ['64:ff9b:1::', 48, 12], ['2002::', 16, 2], ['::', 96, 12]];

/** Throws a TypeError when the text is no address. */
export function addressClass(text: string): AddressClass {
  const bytes = addressBytes(text);
  if (bytes.length === 4) return match(bytes, V4) ?? 'public';
  const special = match(bytes, V6);
  if (special !== undefined) return special;
  for (const [prefix, length, at] of EMBEDDED) {
    if (sharePrefix(bytes, addressBytes(prefix), length)) return addressClass(addressText(bytes.subarray(at, at + 4)));
  }
  // Everything that is given out lies in 2000::/3.
  return (bytes[0]! & 0xe0) === 0x20 ? 'public' : 'reserved';
}

function match(bytes: Uint8Array, table: readonly (readonly [string, number, AddressClass])[]): AddressClass | undefined {
  return table.find(([prefix, length]) => sharePrefix(bytes, addressBytes(prefix), length))?.[2];
}
