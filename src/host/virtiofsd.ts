/** virtiofsd, which shows directories of the host to machines: whether this host has one that is fit. */
import fs from 'node:fs';
import { run, type RunResult } from './run.ts';

/** Where Debian 13 has it. */
const VIRTIOFSD = '/usr/libexec/virtiofsd';
/** QEMU's own until version 7: in C, given up by its authors. */
const OLD_VIRTIOFSD = '/usr/lib/qemu/virtiofsd';
/** Debian 13's: what all of this was tried with. */
const LEAST_VERSION = [1, 13] as const;
const TIMEOUT_MS = 10_000;

export interface VirtiofsdProgram {
  /** The program and the words before its options; paths as its jail shows them. */
  readonly command: readonly string[];
  /** What its jail shows beside the system's libraries. */
  readonly binds: readonly { readonly source: string; readonly target: string }[];
}

export const DEBIAN_VIRTIOFSD: VirtiofsdProgram = { command: [VIRTIOFSD], binds: [{ source: VIRTIOFSD, target: VIRTIOFSD }] };

export type Sharing = { readonly ok: true; readonly version: string; readonly program: VirtiofsdProgram } | { readonly ok: false; readonly reason: string; readonly hint: string };

const WAY_OUT = 'Give it a block volume (`berth volume create NAME --type block --size 1g`), run it as a container, or run Berth on Debian 13: `apt-get install virtiofsd`.';

export interface VirtiofsdLook {
  readonly exists: (file: string) => boolean;
  /** undefined: it could not be run. */
  readonly run: (file: string, args: readonly string[]) => Promise<Pick<RunResult, 'stdout'> | undefined>;
}

const HERE: VirtiofsdLook = { exists: fs.existsSync, run: (file, args) => run(file, args, { allowFailure: true, timeoutMs: TIMEOUT_MS }).catch(() => undefined) };

/** Throws nothing; the reason is a sentence. */
export async function probeVirtiofsd(program: VirtiofsdProgram = DEBIAN_VIRTIOFSD, look: VirtiofsdLook = HERE): Promise<Sharing> {
  const [file, ...before] = program.command;
  if (!look.exists(file!)) {
    const old = look.exists(OLD_VIRTIOFSD) ? ` ${OLD_VIRTIOFSD}, which is here, is the one in C that QEMU's authors gave up.` : '';
    return { ok: false, reason: `Directories reach a machine by virtio-fs, and this host has no ${file!}.${old}`, hint: WAY_OUT };
  }
  return judgeVersion((await look.run(file!, [...before, '--version']))?.stdout ?? '', program);
}

/** `virtiofsd 1.13.2` is Rust's, `virtiofsd version 7.2.22 (…)` C's. */
export function judgeVersion(said: string, program: VirtiofsdProgram): Sharing {
  const match = /^virtiofsd (\d+)\.(\d+)(?:\.\d+)*$/m.exec(said);
  if (match === null) return { ok: false, reason: `${program.command[0]!} does not say that it is the virtiofsd in Rust.`, hint: WAY_OUT };
  const [major, minor] = [Number(match[1]), Number(match[2])], version = match[0].slice('virtiofsd '.length);
  if (major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1])) return { ok: false, reason: `virtiofsd ${version} is older than ${LEAST_VERSION.join('.')}, with which sharing was tried.`, hint: WAY_OUT };
  return { ok: true, version, program };
}
