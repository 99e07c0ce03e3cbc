/**
 * What passes between instances, the host and the world: address translation, published ports, and who may talk to
 * whom across the IP stack. Chains are static; which bridge, port and address is meant lies in sets and maps.
 */
import { accept, concat, counter, destinationPort, drop, goto, hasBits, incoming, is, isNot, localDestination, meta, outgoing, payload, prefix, refuse, set, transportProtocol } from './expressions.ts';
import type { ChainPlan, Expression, TablePlan } from './expressions.ts';
import type { HostNames } from './names.ts';
import type { Guard, GuardsLeftOut } from './port-rules.ts';

const RAW = -300, DSTNAT = -100, FILTER = 0, SRCNAT = 100;
/** Clouds answer here with credentials of the host. */
export const METADATA_IPV4 = ['169.254.169.254', '169.254.170.2', '100.100.100.200'] as const;
export const METADATA_IPV6 = ['fd00:ec2::254', 'fd20:ce::254'] as const;

const translated = hasBits({ ct: { key: 'status' } }, 'dnat');
const original = is({ ct: { key: 'direction' } }, 'original');
const reply = is({ ct: { key: 'direction' } }, 'reply');
const known = hasBits({ ct: { key: 'state' } }, ['established', 'related']);
const related = hasBits({ ct: { key: 'state' } }, 'related');
const tcpOrUdp = is(transportProtocol, set('tcp', 'udp'));
const between = concat(incoming, outgoing);

export function hostTable(names: HostNames, without: GuardsLeftOut): TablePlan {
  const guard = (name: Guard, ...rules: readonly (readonly Expression[])[]): readonly (readonly Expression[])[] => (without.has(name) ? [] : rules);
  const check = (name: Guard, ...matches: readonly Expression[]): readonly Expression[] => (without.has(name) ? [] : matches);
  const fromBridge = is(incoming, names.anyBridge);
  const toBridge = is(outgoing, names.anyBridge);
  const notFromBridge = isNot(incoming, names.anyBridge);
  const ownGateway = (family: 'ip' | 'ip6'): Expression => is(concat(incoming, payload(family, 'daddr')), family === 'ip' ? '@gateway4' : '@gateway6');
  // Address and port in two maps with one key: nft 1.0.6 cannot read a map to both of them from JSON.
  const redirect = (family: 'ip' | 'ip6', map: string, ...key: readonly Expression[]): Expression => ({
    dnat: { family, addr: { map: { key: concat(...key), data: `@${map}_address` } }, port: { map: { key: concat(...key), data: `@${map}_port` } } },
  });
  const exact = (family: 'ip' | 'ip6'): readonly Expression[] => [redirect(family, family === 'ip' ? 'published4' : 'published6', transportProtocol, payload(family, 'daddr'), destinationPort)];
  const wildcard = (family: 'ip' | 'ip6'): readonly Expression[] => [localDestination, redirect(family, family === 'ip' ? 'anywhere4' : 'anywhere6', transportProtocol, destinationPort)];
  /**
   * Only what comes from outside is translated. Callers on this host and its instances reach the process that holds the
   * port: loopback cannot be translated without `route_localnet` (and IPv6 has no such thing), and a translation back
   * into the caller's own bridge takes a short cut inside the bridge where bridge-netfilter is on.
   */
  const translations: readonly (readonly Expression[])[] = [
    [notFromBridge, isNot(payload('ip', 'daddr'), prefix('127.0.0.0', 8)), ...exact('ip')],
    [notFromBridge, isNot(payload('ip', 'daddr'), prefix('127.0.0.0', 8)), ...wildcard('ip')],
    [notFromBridge, isNot(payload('ip6', 'daddr'), '::1'), ...exact('ip6')],
    [notFromBridge, isNot(payload('ip6', 'daddr'), '::1'), ...wildcard('ip6')],
  ];
  const stillPublished: readonly (readonly Expression[])[] = [
    [translated, original, is(concat(transportProtocol, payload('ip', 'daddr'), destinationPort), '@target4'), accept],
    [translated, original, is(concat(transportProtocol, payload('ip6', 'daddr'), destinationPort), '@target6'), accept],
    [translated, reply, known, accept],
    [related, accept],
  ];
  const chains: readonly ChainPlan[] = [
    {
      name: 'raw',
      base: { type: 'filter', hook: 'prerouting', priority: RAW },
      rules: [
        ...guard('loopback',
          [fromBridge, is(payload('ip', 'daddr'), prefix('127.0.0.0', 8)), ...refuse],
          // A port published on loopback, asked for from elsewhere on a host where someone set route_localnet.
          [isNot(incoming, 'lo'), is(payload('ip', 'daddr'), prefix('127.0.0.0', 8)), is(concat(transportProtocol, destinationPort), '@loopback'), ...refuse]),
        ...guard('metadata',
          [fromBridge, is(payload('ip', 'daddr'), set(...METADATA_IPV4)), ...refuse],
          [fromBridge, is(payload('ip6', 'daddr'), set(...METADATA_IPV6)), ...refuse]),
      ],
    },
    { name: 'dstnat', base: { type: 'nat', hook: 'prerouting', priority: DSTNAT }, rules: translations },
    {
      name: 'srcnat',
      base: { type: 'nat', hook: 'postrouting', priority: SRCNAT },
      rules: [
        [is(incoming, '@egress'), isNot(outgoing, names.anyBridge), { masquerade: null }],
      ],
    },
    {
      name: 'from_instance',
      rules: [
        // Frames inside one bridge come by here when bridge-netfilter is on.
        [is(between, '@open_bridge'), accept],
        ...guard('internal', [isNot(incoming, '@egress'), ...refuse]),
        ...guard('cross-network', [toBridge, ...refuse]),
        [accept],
      ],
    },
    {
      name: 'to_instance',
      rules: [
        ...guard('internal', [isNot(outgoing, '@egress'), ...refuse]),
        ...stillPublished,
        // A stream that an instance began, coming back.
        [reply, known, accept],
        ...guard('unpublished', refuse),
      ],
    },
    {
      name: 'forward',
      base: { type: 'filter', hook: 'forward', priority: FILTER },
      rules: [
        // The way out may carry less than the bridge, and not every network says so: segments are sized for it.
        [fromBridge, hasBits(payload('tcp', 'flags'), 'syn'), { mangle: { key: { 'tcp option': { name: 'maxseg', field: 'size' } }, value: { rt: { key: 'mtu' } } } }],
        [fromBridge, goto('from_instance')],
        [toBridge, goto('to_instance')],
        // Forwarding was off before we needed it: what it would newly carry between others stays off.
        [is(incoming, '@guarded'), is(outgoing, '@guarded'), counter, drop],
      ],
    },
    {
      name: 'from_instance_to_host',
      rules: [
        [reply, known, accept],
        [related, accept],
        // Published ports, held by our own process.
        ...(['ip', 'ip6'] as const).flatMap((family) => {
          const version = family === 'ip' ? 4 : 6;
          return [
            [is(incoming, '@egress'), is(meta('nfproto'), family === 'ip' ? 'ipv4' : 'ipv6'), is(concat(transportProtocol, destinationPort), `@held_anywhere${version}`), accept],
            [is(incoming, '@egress'), is(concat(transportProtocol, payload(family, 'daddr'), destinationPort), `@held${version}`), accept],
          ];
        }),
        [ownGateway('ip'), tcpOrUdp, is(destinationPort, 53), accept],
        [ownGateway('ip6'), tcpOrUdp, is(destinationPort, 53), accept],
        // Addresses are the network's own server's to give; whoever else listens on this host hears nobody.
        ...without.has('dhcp-elsewhere') ? [[is(payload('udp', 'sport'), 68), is(payload('udp', 'dport'), 67), accept]] : [
          [is(payload('ip', 'daddr'), '255.255.255.255'), is(payload('udp', 'sport'), 68), is(payload('udp', 'dport'), 67), accept],
          [ownGateway('ip'), is(payload('udp', 'sport'), 68), is(payload('udp', 'dport'), 67), accept],
        ],
        [...check('dhcp-elsewhere', is(payload('ip6', 'daddr'), 'ff02::1:2')), is(payload('udp', 'sport'), 546), is(payload('udp', 'dport'), 547), accept],
        [ownGateway('ip'), is(payload('icmp', 'type'), 'echo-request'), accept],
        [ownGateway('ip6'), is(payload('icmpv6', 'type'), 'echo-request'), accept],
        [is(payload('ip6', 'hoplimit'), 255), is(payload('icmpv6', 'type'), set('nd-router-solicit', 'nd-neighbor-solicit', 'nd-neighbor-advert')), accept],
        ...guard('host-services', refuse),
      ],
    },
    {
      name: 'input',
      base: { type: 'filter', hook: 'input', priority: FILTER },
      rules: [
        [fromBridge, goto('from_instance_to_host')],
        // The name servers are for their own networks, though the host would take their addresses from any side.
        ...guard('foreign-gateway',
          [isNot(incoming, 'lo'), is(payload('ip', 'daddr'), '@gateway4_only'), tcpOrUdp, is(destinationPort, 53), ...refuse],
          [isNot(incoming, 'lo'), is(payload('ip6', 'daddr'), '@gateway6_only'), tcpOrUdp, is(destinationPort, 53), ...refuse]),
      ],
    },
  ];
  return {
    family: 'inet',
    name: names.table,
    sets: [
      { name: 'gateway4', type: ['ifname', 'ipv4_addr'] },
      { name: 'gateway6', type: ['ifname', 'ipv6_addr'] },
      { name: 'gateway4_only', type: ['ipv4_addr'] },
      { name: 'gateway6_only', type: ['ipv6_addr'] },
      { name: 'open_bridge', type: ['ifname', 'ifname'] },
      { name: 'egress', type: ['ifname'] },
      { name: 'guarded', type: ['ifname'] },
      { name: 'loopback', type: ['inet_proto', 'inet_service'] },
      { name: 'target4', type: ['inet_proto', 'ipv4_addr', 'inet_service'] },
      { name: 'target6', type: ['inet_proto', 'ipv6_addr', 'inet_service'] },
      ...(['4', '6'] as const).flatMap((version) => [
        { name: `held_anywhere${version}`, type: ['inet_proto', 'inet_service'] },
        { name: `held${version}`, type: ['inet_proto', `ipv${version}_addr`, 'inet_service'] },
        { name: `published${version}_address`, type: ['inet_proto', `ipv${version}_addr`, 'inet_service'], map: `ipv${version}_addr` },
        { name: `published${version}_port`, type: ['inet_proto', `ipv${version}_addr`, 'inet_service'], map: 'inet_service' },
        { name: `anywhere${version}_address`, type: ['inet_proto', 'inet_service'], map: `ipv${version}_addr` },
        { name: `anywhere${version}_port`, type: ['inet_proto', 'inet_service'], map: 'inet_service' },
      ]),
    ],
    chains,
  };
}
