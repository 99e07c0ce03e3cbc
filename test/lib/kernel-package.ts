/** The distribution's kernel for hardware, which is another one than guests boot unless they are told to. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DIR = path.resolve(import.meta.dirname, '../../.build/kernel-packages');
/** Of four thousand modules a guest loads twenty; the rest would be unpacked for nothing. */
const KEPT = ['boot/vmlinuz-*', '*lib/modules/*/modules.*', '*/kernel/crypto/*', '*/kernel/lib/*', '*/kernel/fs/erofs/*', '*/kernel/fs/ext4/*', '*/kernel/fs/jbd2/*', '*/kernel/fs/mbcache*', '*/kernel/fs/overlayfs/*', '*/kernel/net/core/*', '*/kernel/drivers/virtio/*', '*/virtio*', '*/net_failover*', '*/kernel/drivers/char/hw_random/*'];

export interface KernelPackage {
  /** As `uname -r` says it. */
  readonly release: string;
  /** What `dpkg-deb --fsys-tarfile` gives of the package, without most of its modules. */
  readonly tar: string;
}

/** Made once. */
export async function kernelPackage(): Promise<KernelPackage> {
  const { stdout } = await run('apt-cache', ['show', '--no-all-versions', 'linux-image-amd64']);
  const [, release, version] = /^Depends: .*?\blinux-image-(\d[\w.+-]*) \(= ([^)]+)\)/m.exec(stdout)!;
  const tar = path.join(DIR, `${release}_${version}.tar`);
  if (fs.existsSync(tar)) return { release: release!, tar };
  fs.mkdirSync(DIR, { recursive: true });
  const work = fs.mkdtempSync(`${tar}.`);
  try {
    await run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', `linux-image-${release}=${version}`], { cwd: work });
    await run('dpkg-deb', ['-x', fs.readdirSync(work)[0]!, 'tree'], { cwd: work });
    const { stdout: names } = await run('find', ['.', '-type', 'f', ...KEPT.flatMap((one, index) => [index === 0 ? '(' : '-o', '-path', one.startsWith('*') ? one : `*/${one}`]), ')'], { cwd: path.join(work, 'tree') });
    fs.writeFileSync(path.join(work, 'names'), names);
    await run('tar', ['-cf', '../kernel.tar', '-T', '../names'], { cwd: path.join(work, 'tree') });
    fs.renameSync(path.join(work, 'kernel.tar'), tar);
    return { release: release!, tar };
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}
