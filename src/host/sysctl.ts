/** Kernel switches of one interface below /proc/sys/net (ip-sysctl in the kernel's documentation). */
import fs from 'node:fs';
import path from 'node:path';

/** `switches` are paths with `@` for the interface: `ipv4/conf/@/rp_filter`. A switch that this kernel lacks is left out. */
export async function setInterfaceSwitches(name: string, switches: Readonly<Record<string, string>>, dir = '/proc/sys/net'): Promise<void> {
  for (const [key, value] of Object.entries(switches)) {
    await fs.promises.writeFile(path.join(dir, key.replace('@', name)), value).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}
