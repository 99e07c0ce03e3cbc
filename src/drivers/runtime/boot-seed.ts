/**
 * What the first program of an OS form is told (native/os-boot.c): whose system this is, and what to make of it at its first
 * boot. Records of fields, each with its length: nothing in them can be taken for something else.
 */
import type { NetworkPlanOfUnit, UnitPlan } from './driver.ts';

type Field = string | Uint8Array;

export function bootSeed(plan: UnitPlan): Uint8Array {
  const boot = plan.boot;
  const { resolver, forSystemd } = resolverTexts(plan.network);
  const records: Field[][] = [
    ['instance', plan.id, plan.hostname, hostsText(plan)],
    ...(boot?.cloud === undefined ? [] : [['cloud', boot.cloud.metaData, boot.cloud.userData]]),
    ...(boot?.users ?? []).map((user) => ['user', user.name, String(user.uid ?? ''), user.gecos, user.home, user.shell, user.passwordHash, user.groups.join(), user.sudo.map((rule) => `${user.name} ${rule}\n`).join(''), user.keys.map((key) => `${key}\n`).join('')]),
    ...(boot?.files ?? []).map((file) => ['file', file.path, file.mode.toString(8), file.owner, file.group, file.append ? '1' : '0', file.content]),
    ['resolver', resolver, forSystemd],
    ...(boot?.commands ?? []).map((words) => ['command', ...words]),
  ];
  return encode(records);
}

function encode(records: readonly (readonly Field[])[]): Uint8Array {
  const parts: Buffer[] = [];
  const number = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    parts.push(bytes);
  };
  for (const fields of records) {
    number(fields.length);
    for (const field of fields) {
      const bytes = Buffer.from(field as string);
      number(bytes.length);
      parts.push(bytes);
    }
  }
  return Buffer.concat(parts);
}

/** hosts(5): the instance knows itself by name; its address may change, its loopback does not. */
function hostsText({ hostname, network }: UnitPlan): string {
  const own = network.searchDomains.map((domain) => `${hostname}.${domain}`);
  return ['127.0.0.1 localhost', `127.0.1.1 ${[...own, hostname].join(' ')}`, '::1 localhost ip6-localhost ip6-loopback', 'ff02::1 ip6-allnodes', 'ff02::2 ip6-allrouters', ''].join('\n');
}

function resolverTexts({ nameservers, searchDomains }: NetworkPlanOfUnit): { readonly resolver: string; readonly forSystemd: string } {
  const search = searchDomains.join(' ');
  return {
    resolver: [...(search === '' ? [] : [`search ${search}`]), ...nameservers.map((address) => `nameserver ${address}`), ''].join('\n'),
    forSystemd: ['[Resolve]', `DNS=${nameservers.join(' ')}`, `Domains=${search}`, ''].join('\n'),
  };
}
