/** Network: a bridge with addresses, names and rules. */
import * as z from 'zod';
import { everyForm, field } from './define.ts';
import type { ErrorBody } from './errors.ts';
import type { BerthObject } from './meta.ts';

const SUBNET = z.string().max(18).regex(/^(?:\d{1,3}\.){3}\d{1,3}\/(?:1[6-9]|2[0-8])$/, 'write an IPv4 subnet such as 10.40.0.0/20; lengths 16 to 28');

export const networkSpec = z.strictObject({
  ipv4: field(SUBNET.optional(), 'IPv4 subnet; a free one when missing.', { change: 'never', flag: 'subnet', value: 'CIDR', means: everyForm('Addresses are given from it.') }),
  isolated: field(z.boolean().default(false), 'No traffic between its instances.', { change: 'never', flag: 'isolated', means: everyForm('Ports cannot reach each other.') }),
  internal: field(z.boolean().default(false), 'No way out.', { change: 'never', flag: 'internal', means: everyForm('Nothing is forwarded; DNS answers its own names only.') }),
});
export type NetworkSpec = z.infer<typeof networkSpec>;

export interface NetworkStatus {
  readonly state: 'ready' | 'creating' | 'deleting' | 'failed';
  readonly ipv4: { readonly gateway: string; readonly prefixLength: number };
  readonly ipv6: { readonly gateway: string; readonly prefixLength: number };
  readonly operation?: string | undefined;
  readonly error?: ErrorBody | undefined;
}

export type Network = BerthObject<NetworkSpec, NetworkStatus, 'Network'>;

/** The network that every project has from its start: out to the world, no instance-to-instance traffic. */
export const DEFAULT_NETWORK = 'default';
