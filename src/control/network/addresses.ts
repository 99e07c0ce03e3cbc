/** Addresses of a network: given from memory, made unique by a claim in the same transaction as the object. */
import { BerthError } from '../../model/errors.ts';
import type { Network } from '../../model/network.ts';
import type { Registry } from '../registry.ts';

export function addressKey(networkId: string, address: string): string {
  return `address/${networkId}/${address}`;
}

export function ipv4ToNumber(address: string): number {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) throw new BerthError('invalid', `'${address}' is not an IPv4 address.`);
  return ((parts[0]! << 24) | (parts[1]! << 16) | (parts[2]! << 8) | parts[3]!) >>> 0;
}

export function numberToIpv4(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

export interface AddressPair {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** The IPv6 address carries the host part of the IPv4 one, so that a pair is free or taken as one. */
export function pairFor(network: Network, host: number): AddressPair {
  const { ipv4, ipv6 } = network.status;
  const base = (ipv4ToNumber(ipv4.gateway) & (0xffffffff << (32 - ipv4.prefixLength))) >>> 0;
  return { ipv4: numberToIpv4(base + host), ipv6: `${ipv6.gateway.replace(/::.*$/, '')}::${host.toString(16)}` };
}

export class Addresses {
  readonly #registry: Registry;
  /** Given out and not yet claimed (pooled, or in a transaction on its way), by network. */
  readonly #reserved = new Map<string, Set<string>>();
  readonly #cursor = new Map<string, number>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** The next free pair, not the one that was given back last: neighbours' caches get time to forget. */
  reserve(network: Network): AddressPair {
    const id = network.meta.id;
    const reserved = this.#reserved.get(id) ?? new Set<string>();
    this.#reserved.set(id, reserved);
    const size = 2 ** (32 - network.status.ipv4.prefixLength);
    let host = this.#cursor.get(id) ?? this.#highest(id, size);
    for (let tries = 0; tries < size; tries++) {
      host = host + 1 >= size - 1 ? 2 : host + 1;
      const pair = pairFor(network, host);
      if (reserved.has(pair.ipv4) || this.#registry.claimOwner(addressKey(id, pair.ipv4)) !== undefined) continue;
      this.#cursor.set(id, host);
      reserved.add(pair.ipv4);
      return pair;
    }
    throw new BerthError('exhausted', `Network '${network.meta.name}' has no free address left.`, { hint: 'Delete instances, or make another network.' });
  }

  /** Where a daemon that has just started goes on: what was given back lately lies most likely below. 1 is the gateway. */
  #highest(networkId: string, size: number): number {
    const prefix = addressKey(networkId, '');
    return this.#registry.claimKeys(prefix).reduce((highest, key) => Math.max(highest, ipv4ToNumber(key.slice(prefix.length)) % size), 1);
  }

  /** The pair of this very address. `alreadyExists` when it is taken. */
  reserveExact(network: Network, ipv4: string): AddressPair {
    const { gateway, prefixLength } = network.status.ipv4;
    const mask = (0xffffffff << (32 - prefixLength)) >>> 0;
    const host = (ipv4ToNumber(ipv4) & ~mask) >>> 0;
    const inside = ((ipv4ToNumber(ipv4) & mask) >>> 0) === ((ipv4ToNumber(gateway) & mask) >>> 0);
    if (!inside || host < 2 || host >= 2 ** (32 - prefixLength) - 1) throw new BerthError('invalid', `${ipv4} is not a usable address of network '${network.meta.name}'.`, { hint: `It has ${gateway}/${prefixLength}.` });
    const pair = pairFor(network, host);
    const reserved = this.#reserved.get(network.meta.id) ?? new Set<string>();
    this.#reserved.set(network.meta.id, reserved);
    if (reserved.has(pair.ipv4) || this.#registry.claimOwner(addressKey(network.meta.id, pair.ipv4)) !== undefined) throw new BerthError('alreadyExists', `Address ${ipv4} is taken on network '${network.meta.name}'.`);
    reserved.add(pair.ipv4);
    return pair;
  }

  /** How many are given out and not yet claimed. */
  reserved(networkId: string): number {
    return this.#reserved.get(networkId)?.size ?? 0;
  }

  /** The claim is durable, or nobody will use it. */
  settle(networkId: string, ipv4: string): void {
    this.#reserved.get(networkId)?.delete(ipv4);
  }
}
