/** virtiofsd: whether this host has one that is fit, and how it is called. Its walls are native/vm-share.c's. */
import fs from 'node:fs';
import { run } from '../../../host/run.ts';

/** Where Debian 13 has it. */
const VIRTIOFSD = '/usr/libexec/virtiofsd';
/** QEMU's own until version 7: in C, given up by its authors. */
const OLD_VIRTIOFSD = '/usr/lib/qemu/virtiofsd';
/** Debian 13's: what all of this was tried with. */
const LEAST_VERSION = [1, 13] as const;
const TIMEOUT_MS = 10_000;

/** In the control group beside the guest's memory: its own, and the descriptors and names that the guest makes it hold. */
export const SHARE_OVERHEAD_MIB = 48;

export interface VirtiofsdProgram {
  /** The program and the words before its options; paths as its jail shows them. */
  readonly command: readonly string[];
  /** What its jail shows beside the system's libraries. */
  readonly binds: readonly { readonly source: string; readonly target: string }[];
}

export const DEBIAN_VIRTIOFSD: VirtiofsdProgram = { command: [VIRTIOFSD], binds: [{ source: VIRTIOFSD, target: VIRTIOFSD }] };

export type Sharing = { readonly ok: true; readonly version: string; readonly program: VirtiofsdProgram } | { readonly ok: false; readonly reason: string; readonly hint: string };

const WAY_OUT = 'Give it a block volume (`berth volume create NAME --type block --size 1g`), run it as a container, or run Berth on Debian 13: `apt-get install virtiofsd`.';

/** Throws nothing; the reason is a sentence. */
export async function probeVirtiofsd(program: VirtiofsdProgram = DEBIAN_VIRTIOFSD): Promise<Sharing> {
  const [file, ...before] = program.command;
  if (!fs.existsSync(file!)) {
    const old = fs.existsSync(OLD_VIRTIOFSD) ? ` ${OLD_VIRTIOFSD}, which is here, is the one in C that QEMU's authors gave up.` : '';
    return { ok: false, reason: `Directories reach a machine by virtio-fs, and this host has no ${file!}.${old}`, hint: WAY_OUT };
  }
  const { stdout } = await run(file!, [...before, '--version'], { allowFailure: true, timeoutMs: TIMEOUT_MS }).catch(() => ({ stdout: '' }));
  return judgeVersion(stdout, program);
}

/** `virtiofsd 1.13.2` is Rust's, `virtiofsd version 7.2.22 (…)` C's. */
export function judgeVersion(said: string, program: VirtiofsdProgram): Sharing {
  const match = /^virtiofsd (\d+)\.(\d+)(?:\.\d+)*$/m.exec(said);
  if (match === null) return { ok: false, reason: `${program.command[0]!} does not say that it is the virtiofsd in Rust.`, hint: WAY_OUT };
  const [major, minor] = [Number(match[1]), Number(match[2])], version = match[0].slice('virtiofsd '.length);
  if (major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1])) return { ok: false, reason: `virtiofsd ${version} is older than ${LEAST_VERSION.join('.')}, with which sharing was tried.`, hint: WAY_OUT };
  return { ok: true, version, program };
}

/**
 * Its socket is descriptor 3, the directory is /share: native/vm-share.c.
 * - `cache auto`: what others wrote is seen at the next open, names and attributes within a second; memory can be mapped, which
 *   `never` refuses. No writeback: what is written is the host's at once.
 * - Extended attributes as in containers, where the kernel decides by the same user namespace which of them.
 * - No `--tag`: QEMU 7.1 to 8.0 crash on the configuration that it offers.
 */
export function virtiofsdCommandLine(command: readonly string[]): readonly string[] {
  return [
    ...command, '--fd=3', '--shared-dir=/share', '--sandbox=chroot', '--seccomp=kill', '--modcaps=-mknod:-setfcap', '--cache=auto', '--xattr',
    '--inode-file-handles=never', '--no-announce-submounts', '--rlimit-nofile=0', '--log-level=error',
  ];
}
