/** Which files of the host lane run inside a Debian that is emulated, in which order, and why others do not. */
import fs from 'node:fs';
import path from 'node:path';

const NESTED = 'starts machines: emulation inside emulation';
const SERVER = 'is about a server beside Berth (etcd, docker-registry) and sees nothing of the host';
const FUZZER = 'hours of instrumented code under emulation, and the same code as outside';

export const NOT_INSIDE: Readonly<Record<string, string>> = {
  qemu: NESTED, 'qemu-hostile': NESTED, 'qemu-network': NESTED, 'qemu-os-contract': NESTED, 'qemu-shares': NESTED, 'qemu-volumes': NESTED, 'qemu-walls': NESTED, 'qemu-warm': NESTED, 'qemu-warm-contract': NESTED,
  'foreign-machine': NESTED, 'network-forms': NESTED,
  'guest-kernel': 'fetches packages, and there is no way out of its network',
  registry: SERVER, 'registry-contract': SERVER, 'registry-leads': SERVER, 'registry-lies': SERVER, 'registry-push': SERVER, 'store-etcd': SERVER, 'store-agreement': SERVER,
  'test-run': 'is about what runs the tests, by the second',
  'agent-fuzz': FUZZER, 'boot-fuzz': FUZZER, 'unpack-fuzz': FUZZER,
};

/** What another kernel, systemd and control groups decide most; a run of hours that breaks off has looked at these. */
const FIRST = [
  'doctor', 'crun', 'crun-os', 'escape-limits', 'escape-os', 'escape-kernel', 'escape-runtime', 'escape-rootfs', 'escape-copy',
  'network', 'network-contract', 'network-life', 'network-publish', 'network-walls', 'network-spoofing', 'network-dhcp', 'network-parity', 'crun-crash', 'crun-root',
];

export interface InsideFiles {
  readonly first: readonly string[];
  readonly rest: readonly string[];
}

/** Names without `.test.ts`; `wanted` takes these alone, also one that is left out. */
export function hostFilesInside(wanted?: readonly string[]): InsideFiles {
  const files = fs.readdirSync(path.resolve(import.meta.dirname, '../host'))
    .flatMap((name) => (name.endsWith('.test.ts') ? [name.slice(0, -'.test.ts'.length)] : []))
    .filter((name) => (wanted === undefined ? !Object.hasOwn(NOT_INSIDE, name) : wanted.includes(name)))
    .sort();
  return { first: FIRST.filter((name) => files.includes(name)), rest: files.filter((name) => !FIRST.includes(name)) };
}
