/** /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, from its plan. hosts(5), resolv.conf(5). */
import { BerthError } from '../../../model/errors.ts';
import type { NetworkPlanOfUnit } from '../driver.ts';

const HOST_NAME = /^[0-9a-zA-Z]([0-9a-zA-Z.-]{0,61}[0-9a-zA-Z])?$/;
const ADDRESS = /^[0-9a-fA-F.:]{2,45}$/;
const DOMAIN = /^[0-9a-zA-Z]([0-9a-zA-Z.-]{0,251}[0-9a-zA-Z])?$/;

export interface NetworkFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolver: string;
}

/** These are line formats: whatever could start a line of its own is refused. */
export function networkFiles(hostname: string, network: NetworkPlanOfUnit): NetworkFiles {
  expect(HOST_NAME, hostname, 'a host name');
  const addresses = network.interfaces.flatMap((one) => one.addresses.map(({ address }) => address));
  for (const address of [...addresses, ...network.nameservers]) expect(ADDRESS, address, 'an address');
  for (const domain of network.searchDomains) expect(DOMAIN, domain, 'a search domain');
  return {
    hosts: ['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback', 'ff02::1 ip6-allnodes', 'ff02::2 ip6-allrouters',
      ...(addresses.length === 0 ? [`127.0.1.1 ${hostname}`] : addresses.map((address) => `${address} ${hostname}`)), ''].join('\n'),
    hostname: `${hostname}\n`,
    resolver: [...(network.searchDomains.length === 0 ? [] : [`search ${network.searchDomains.join(' ')}`]),
      ...network.nameservers.map((address) => `nameserver ${address}`), ''].join('\n'),
  };
}

function expect(pattern: RegExp, text: string, what: string): void {
  if (!pattern.test(text)) throw new BerthError('invalid', `${JSON.stringify(text)} is not ${what}.`);
}
