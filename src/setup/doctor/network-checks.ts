/** What else on this host answers on our ports or stands in the way of packets. Reads, never changes. */
import { finding, type Check, type Finding, type HostView } from './finding.ts';

interface Listener {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly inode: string;
}

const LISTEN_STATE = { tcp: '0A', udp: '07' } as const;

/** Sockets bound to every address, from /proc/net/{tcp,udp}{,6}. */
export function wildcardListeners(protocol: 'tcp' | 'udp', table: string): readonly Listener[] {
  return table.split('\n').slice(1).flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    return /^0+$/.test(address) && address !== '' && state === LISTEN_STATE[protocol] ? [{ protocol, port: Number.parseInt(port, 16), inode }] : [];
  });
}

const OURS: Readonly<Record<number, string>> = { 53: 'names on networks', 67: 'addresses on networks', 547: 'addresses on networks (IPv6)' };

/** The configuration of a network's name server (drivers/network/bridge/name-server.ts). */
const NAME_SERVER = /^--conf-file=\/.*\/networks\/[a-z0-9]+\/dnsmasq\.conf$/;

/** Sockets of our own name servers: each is bound to its bridge, of which the table of sockets says nothing. */
function ownSockets(host: HostView): ReadonlySet<string> {
  const servers = host.list('/proc').filter((pid) => /^\d+$/.test(pid) && (host.readText(`/proc/${pid}/cmdline`) ?? '').split('\0').some((word) => NAME_SERVER.test(word)));
  return new Set(servers.flatMap((pid) => host.list(`/proc/${pid}/fd`).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(host.readLink(`/proc/${pid}/fd/${fd}`) ?? '')?.[1] ?? [])));
}

export const ports: Check = (host) => {
  const found = (['tcp', 'udp'] as const).flatMap((protocol) => ['', '6'].flatMap((suffix) => wildcardListeners(protocol, host.readText(`/proc/net/${protocol}${suffix}`) ?? '')));
  const onOurs = found.filter((one) => OURS[one.port] !== undefined);
  const own = onOurs.length === 0 ? new Set<string>() : ownSockets(host);
  const taken = [...new Set(onOurs.filter((one) => !own.has(one.inode)).map((one) => `${one.protocol}/${one.port}`))];
  return [taken.length === 0
    ? finding('network.ports', 'Ports 53, 67, 547', 'ok', 'nobody listens on every address', 'Networks can answer names and hand out addresses at their gateways.')
    : finding('network.ports', 'Ports 53, 67, 547', 'warn', `taken on every address: ${taken.join(', ')}`, 'Another server also listens at the gateways of our networks, and may answer there instead of Berth.', 'Bind that server to the addresses it serves (dnsmasq: bind-interfaces; named, unbound: listen-on, interface).')];
};

interface NftChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** Base chains that throw forwarded packets away unless one of their rules accepts them, other than Berth's own. */
export function droppingForwardChains(ruleset: string): readonly NftChain[] {
  const { nftables } = JSON.parse(ruleset) as { nftables: readonly { chain?: NftChain }[] };
  return nftables.flatMap(({ chain }) => (chain?.hook === 'forward' && chain.policy === 'drop' && !chain.table.startsWith('berth') ? [chain] : []));
}

/** Our bridges are named by the root's tag, which exists from the daemon's first start on. */
function bridgePrefix(host: HostView): string {
  const tag = host.readText('/var/lib/berth/state/tag')?.split('\n')[0] ?? '';
  return /^[0-9a-z]{6}$/.test(tag) ? `b${tag}` : 'bTAG (TAG is in /var/lib/berth/state/tag)';
}

export const firewalls: Check = async (host) => {
  const bridges = bridgePrefix(host);
  const findings: Finding[] = [];
  if (host.isRoot) {
    const ruleset = await host.run('nft', ['-j', 'list', 'chains']);
    const chains = ruleset?.code === 0 ? droppingForwardChains(ruleset.stdout) : [];
    for (const chain of chains) {
      findings.push(finding(`network.forward.${chain.family}.${chain.table}.${chain.name}`, `Foreign firewall: ${chain.family} ${chain.table} ${chain.name}`, 'warn', 'drops what it does not know when it is forwarded', 'An accept in our table does not overrule it: instances may have no way out and published ports may not answer.', acceptRule(chain, bridges)));
    }
  }
  const legacy = (host.readText('/proc/net/ip_tables_names') ?? '').split('\n').filter((name) => name !== '');
  if (legacy.includes('filter')) {
    findings.push(finding('network.iptables-legacy', 'Foreign firewall: iptables (legacy)', 'warn', `tables: ${legacy.join(' ')}`, 'Its FORWARD chain is asked as well as ours, and nft does not show it.', `iptables-legacy -S FORWARD; where its policy is DROP: iptables-legacy -I FORWARD -i ${bridges}+ -j ACCEPT; iptables-legacy -I FORWARD -o ${bridges}+ -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT`));
  }
  const firewalld = await host.run('firewall-cmd', ['--state']);
  if (firewalld?.code === 0) findings.push(finding('network.firewalld', 'Foreign firewall: firewalld', 'warn', 'running', 'It rejects forwarded packets of interfaces that it does not know.', `firewall-cmd --permanent --zone=trusted --add-interface='${bridges}+'; firewall-cmd --reload`));
  if (findings.length === 0) findings.push(finding('network.firewalls', 'Foreign firewalls', host.isRoot ? 'ok' : 'info', host.isRoot ? 'none drops forwarded packets' : 'only partly visible', 'Instances reach out, and published ports answer.', host.isRoot ? '' : 'sudo berth doctor'));
  return findings;
};

/** Docker leaves DOCKER-USER for this; elsewhere the chain itself takes the rule. */
function acceptRule(chain: NftChain, bridges: string): string {
  const target = chain.table === 'filter' && chain.name === 'FORWARD' ? `${chain.family} filter DOCKER-USER (where Docker runs; else FORWARD)` : `${chain.family} ${chain.table} ${chain.name}`;
  return `Let packets from and to our bridges pass: nft insert rule ${target} iifname "${bridges}*" accept; nft insert rule ${target} oifname "${bridges}*" ct status dnat accept; nft insert rule ${target} oifname "${bridges}*" ct state established,related accept`;
}

export const forwarding: Check = (host) => {
  const on = host.readText('/proc/sys/net/ipv4/ip_forward')?.trim() === '1';
  return [finding('network.forwarding', 'Forwarding', 'info', on ? 'on' : 'off', on ? 'The host routes between its interfaces; Berth forwards for its own networks only.' : 'The daemon turns it on when it makes its first network that leads out, with everything foreign left dropped.')];
};

export const NETWORK_CHECKS: readonly Check[] = [ports, firewalls, forwarding];
