/**
 * What an instance may send, checked frame by frame where it enters the bridge, before anything else sees it. Ports
 * are known by name: one whose facts are not in the sets may send nothing, so the order of set-up cannot open a gap.
 * The same rules hold for a container's veth and a virtual machine's tap.
 */
import { accept, bytesAt, concat, goto, incoming, is, isNot, jump, outgoing, payload, prefix, refuse, set } from './expressions.ts';
import type { ChainPlan, Expression, TablePlan } from './expressions.ts';
import { expression } from '../../../host/nft-elements.ts';
import type { RawRule } from '../../../host/nft-elements.ts';
import type { HostNames } from './names.ts';

/**
 * A guard is a group of checks that stops one kind of attack. A test builds the driver without one and expects its
 * case to succeed; nothing else leaves one out.
 */
export type Guard =
  | 'mac' | 'arp' | 'ipv4-source' | 'dhcp-server' | 'ethertype'
  | 'ipv6-source' | 'router-advertisement' | 'neighbour-advertisement' | 'hidden-neighbour-discovery' | 'dhcpv6-server'
  | 'dhcp-client' | 'unasked-advertisement' | 'dhcp-elsewhere'
  | 'isolation' | 'cross-network' | 'host-services' | 'loopback' | 'metadata' | 'internal' | 'unpublished' | 'foreign-gateway';

export type GuardsLeftOut = ReadonlySet<Guard>;

/** Before bridge-netfilter (0), which would already hand the packet to the IP rules. */
const BEFORE_EVERYTHING = -200;

const sender = (what: Expression): Expression => concat(incoming, what);
const icmpv6 = payload('icmpv6', 'type');

export function portTable(names: HostNames, without: GuardsLeftOut): TablePlan {
  const guard = (name: Guard, ...rules: readonly (readonly Expression[])[]): readonly (readonly Expression[])[] => (without.has(name) ? [] : rules);
  const check = (name: Guard, ...matches: readonly Expression[]): readonly Expression[] => (without.has(name) ? [] : matches);
  const arpForm = [
    is(payload('arp', 'htype'), 1), is(payload('arp', 'ptype'), 'ip'), is(payload('arp', 'hlen'), 6), is(payload('arp', 'plen'), 4),
    is(sender(payload('arp', 'saddr ether')), '@port_mac'),
  ];
  const chains: readonly ChainPlan[] = [
    {
      name: 'port_arp',
      rules: [
        [...check('arp', ...arpForm, is(payload('arp', 'operation'), set('request', 'reply')), is(sender(payload('arp', 'saddr ip')), '@port_ip4')), accept],
        // An address probe (RFC 5227) claims nothing.
        [...arpForm, is(payload('arp', 'operation'), 'request'), is(payload('arp', 'saddr ip'), '0.0.0.0'), accept],
        refuse,
      ],
    },
    {
      name: 'port_ip4',
      rules: [
        ...guard('dhcp-server', [is(payload('udp', 'sport'), 67), ...refuse]),
        [...check('dhcp-client', is(incoming, '@asking_ports')), is(payload('ip', 'saddr'), '0.0.0.0'), is(payload('ip', 'daddr'), '255.255.255.255'), is(payload('udp', 'sport'), 68), is(payload('udp', 'dport'), 67), accept],
        [...check('ipv4-source', is(sender(payload('ip', 'saddr')), '@port_ip4')), accept],
        refuse,
      ],
    },
    {
      name: 'port_na',
      rules: guard('neighbour-advertisement',
        // No option, or exactly one of eight bytes that is the target's link-layer address: a second could say another.
        [isNot(payload('ip6', 'length'), set(24, 32)), ...refuse],
        [is(payload('ip6', 'length'), 32), isNot(bytesAt('th', 192, 16), 0x0201), ...refuse],
      ),
    },
    {
      name: 'port_ip6',
      rules: [
        // Neighbour discovery behind extension headers or in fragments: no honest stack does it, filters miss it.
        ...guard('hidden-neighbour-discovery',
          [isNot(payload('ip6', 'nexthdr'), 'ipv6-icmp'), is(icmpv6, { range: [133, 137] }), ...refuse],
          [is(payload('ip6', 'hoplimit'), 255), is({ exthdr: { name: 'frag' } }, true), ...refuse]),
        ...guard('router-advertisement', [is(icmpv6, set('nd-router-advert', 'nd-redirect')), ...refuse]),
        ...guard('dhcpv6-server', [is(payload('udp', 'sport'), 547), ...refuse]),
        [is(icmpv6, 'nd-neighbor-advert'), jump('port_na')],
        [is(payload('ip6', 'saddr'), '::'), is(payload('ip6', 'daddr'), prefix('ff02::', 16)), is(icmpv6, set('nd-neighbor-solicit', 'nd-router-solicit')), accept],
        // Every kernel reports its groups; nobody here listens, so it is no attack to count.
        [is(icmpv6, set('mld-listener-query', 'mld-listener-report', 'mld-listener-done', 'mld2-listener-report')), { drop: null }],
        [...check('ipv6-source', is(sender(payload('ip6', 'saddr')), '@port_ip6')), accept],
        refuse,
      ],
    },
    {
      name: 'port',
      rules: [
        ...guard('mac', [isNot(sender(payload('ether', 'saddr')), '@port_mac'), ...refuse]),
        [is(payload('ether', 'type'), 'arp'), goto('port_arp')],
        [is(payload('ether', 'type'), 'ip'), goto('port_ip4')],
        [is(payload('ether', 'type'), 'ip6'), goto('port_ip6')],
        ...guard('ethertype', refuse),
      ],
    },
    { name: 'prerouting', base: { type: 'filter', hook: 'prerouting', priority: BEFORE_EVERYTHING }, rules: [[is(incoming, names.anyPort), goto('port')]] },
    {
      name: 'forward',
      base: { type: 'filter', hook: 'forward', priority: BEFORE_EVERYTHING },
      rules: [
        [isNot(incoming, names.anyPort), accept],
        // A bridge carries frames only among its own ports: two open ones are of the same network.
        [is(incoming, '@open_ports'), is(outgoing, '@open_ports'), accept],
        ...guard('isolation', refuse),
      ],
    },
    {
      name: 'output',
      base: { type: 'filter', hook: 'output', priority: BEFORE_EVERYTHING },
      rules: [
        // Most instances are set up from outside: a second default route that runs out is nothing that they asked for.
        ...guard('unasked-advertisement', [is(outgoing, names.anyPort), isNot(outgoing, '@asking_ports'), is(payload('ether', 'type'), 'ip6'), is(icmpv6, 'nd-router-advert'), { drop: null }]),
      ],
    },
  ];
  return {
    family: 'bridge',
    name: names.table,
    sets: [
      { name: 'port_mac', type: ['ifname', 'ether_addr'] },
      { name: 'port_ip4', type: ['ifname', 'ipv4_addr'] },
      { name: 'port_ip6', type: ['ifname', 'ipv6_addr'] },
      { name: 'open_ports', type: ['ifname'] },
      { name: 'asking_ports', type: ['ifname'] },
    ],
    chains,
  };
}

/** A neighbour advertisement speaks for its sender's own addresses and MAC only; `nft` 1.0.6 cannot compare these fields. */
export function rawPortRules(names: HostNames, without: GuardsLeftOut): readonly RawRule[] {
  if (without.has('neighbour-advertisement')) return [];
  const rule = (set: string, offset: number, length: number): RawRule => ({
    family: 'bridge',
    table: names.table,
    chain: 'port_na',
    expressions: [expression.incomingName(0), expression.transport(4, offset, length), expression.notIn(set), expression.counter(), expression.drop()],
  });
  return [rule('port_ip6', 8, 16), rule('port_mac', 26, 6)];
}
