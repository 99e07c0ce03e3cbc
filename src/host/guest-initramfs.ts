/** The guests' initramfs: our agent as /init and the kernel modules that it loads; uncompressed, the kernel only copies it. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { cpioArchive, S_IFDIR, S_IFREG, S_IFCHR, type CpioEntry } from '../lib/cpio.ts';
import { readBounded, writeFileAtomic } from './files.ts';
import type { KernelFiles, ModuleStage } from './kernel-layout.ts';

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const KEPT_MS = 30 * 24 * 3600 * 1000;

export interface GuestInitramfs {
  readonly file: string;
  /** Hexadecimal, of the whole archive. */
  readonly sha256: string;
}

/** Builds it for this kernel and this agent unless it is there; the name carries the digest, so an upgrade makes a new file. */
export async function prepareGuestInitramfs(kernel: Pick<KernelFiles, 'dir' | 'modules'>, agentFile: string): Promise<GuestInitramfs> {
  const entries: CpioEntry[] = [
    ...['dev', 'modules', 'proc', 'sys', 'root', 'lower', 'upper', 'files'].map((dir) => ({ path: dir, mode: S_IFDIR | 0o755 })),
    { path: 'dev/console', mode: S_IFCHR | 0o600, device: [5, 1] as const },
    { path: 'init', mode: S_IFREG | 0o755, data: await readBounded(agentFile, MAX_FILE_BYTES) },
  ];
  for (const stage of Object.keys(kernel.modules) as ModuleStage[]) {
    entries.push({ path: `modules/${stage}`, mode: S_IFREG | 0o644, data: Buffer.from(kernel.modules[stage].map((name) => `${name}\n`).join('')) });
    for (const name of kernel.modules[stage]) {
      entries.push({ path: `modules/${name}.ko`, mode: S_IFREG | 0o644, data: await readBounded(path.join(kernel.dir, 'modules', `${name}.ko`), MAX_FILE_BYTES) });
    }
  }
  const archive = cpioArchive(entries);
  const sha256 = createHash('sha256').update(archive).digest('hex');
  const file = path.join(kernel.dir, `initramfs-${sha256.slice(0, 16)}.cpio`);
  if (!fs.existsSync(file)) {
    await removeOld(kernel.dir);
    await writeFileAtomic(file, archive, 0o644);
  }
  return { file, sha256 };
}

/** Machines have read theirs when they booted; only a daemon of an earlier version may want one again. */
async function removeOld(dir: string): Promise<void> {
  for (const name of await fs.promises.readdir(dir)) {
    const file = path.join(dir, name);
    if (/^initramfs-[0-9a-f]{16}\.cpio$/.test(name) && Date.now() - (await fs.promises.stat(file)).mtimeMs > KEPT_MS) await fs.promises.rm(file, { force: true });
  }
}
