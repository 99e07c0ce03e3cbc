/** Which files of the host lane run inside a Debian that is emulated, and why others do not. */
import fs from 'node:fs';
import path from 'node:path';

export interface FileResult {
  readonly file: string;
  readonly pass: number;
  readonly fail: number;
}

const NESTED = 'starts machines: emulation inside emulation';
const SERVER = 'is about a server beside Berth (etcd, docker-registry) and sees nothing of the host';
const FUZZER = 'hours of instrumented code under emulation, and the same code as outside';

export const NOT_INSIDE: Readonly<Record<string, string>> = {
  qemu: NESTED, 'qemu-hostile': NESTED, 'qemu-network': NESTED, 'qemu-os-contract': NESTED, 'qemu-volumes': NESTED, 'qemu-walls': NESTED, 'qemu-warm': NESTED, 'qemu-warm-contract': NESTED,
  'foreign-machine': NESTED, 'network-forms': NESTED,
  'guest-kernel': 'fetches packages, and there is no way out of its network',
  registry: SERVER, 'registry-contract': SERVER, 'registry-leads': SERVER, 'registry-lies': SERVER, 'registry-push': SERVER, 'store-etcd': SERVER, 'store-agreement': SERVER,
  'agent-fuzz': FUZZER, 'boot-fuzz': FUZZER, 'unpack-fuzz': FUZZER,
};

/** Names without `.test.ts`; FILES=a,b takes these alone. */
export function hostFilesInside(): readonly string[] {
  const wanted = process.env['FILES']?.split(',');
  return fs.readdirSync(path.resolve(import.meta.dirname, '../host'))
    .flatMap((name) => (name.endsWith('.test.ts') ? [name.slice(0, -'.test.ts'.length)] : []))
    .filter((name) => (wanted === undefined ? !Object.hasOwn(NOT_INSIDE, name) : wanted.includes(name)))
    .sort();
}
