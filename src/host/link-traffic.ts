/** What went through the interfaces of this network namespace, all in one reading of /proc/net/dev: proc_pid_net(5). */
import fs from 'node:fs/promises';

export interface LinkTraffic {
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export async function readLinkTraffic(): Promise<ReadonlyMap<string, LinkTraffic>> {
  return parseLinkTraffic(await fs.readFile('/proc/self/net/dev', 'latin1'));
}

/** `NAME: BYTES PACKETS ERRS DROP FIFO FRAME COMPRESSED MULTICAST BYTES …`: eight columns received, then those sent. */
export function parseLinkTraffic(text: string): ReadonlyMap<string, LinkTraffic> {
  const found = new Map<string, LinkTraffic>();
  for (const line of text.split('\n').slice(2)) {
    const colon = line.lastIndexOf(':');
    if (colon < 0) continue;
    const numbers = line.slice(colon + 1).trim().split(/\s+/).map(Number);
    found.set(line.slice(0, colon).trim(), { receivedBytes: numbers[0]!, sentBytes: numbers[8]! });
  }
  return found;
}
