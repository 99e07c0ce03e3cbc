/**
 * crun up to 1.8 compiles the seccomp rules at every start (11 ms); it takes a compiled filter by annotation instead.
 * The first container with a set of rules is started from the rules, and what crun compiled is kept for the next.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../../../host/files.ts';
import type { OciSeccomp } from './oci-types.ts';

/** The kernel takes at most 4096 instructions of 8 bytes. */
const MAX_FILTER_BYTES = 4096 * 8;

export type CompiledSeccomp = { readonly bpf: string } | { readonly rules: OciSeccomp };

export class SeccompCache {
  readonly #dir: string;
  readonly #compiler: string | undefined;
  readonly #known = new Map<string, string>();
  readonly #keys = new WeakMap<OciSeccomp, string>();

  readonly #unseal: typeof unsealedFilter;

  /** `compiler` names what compiled: another version may compile differently. undefined: crun caches by itself. */
  constructor(dir: string, compiler: string | undefined, unseal = unsealedFilter) {
    this.#dir = dir;
    this.#compiler = compiler;
    this.#unseal = unseal;
  }

  prepare(rules: OciSeccomp): CompiledSeccomp {
    if (this.#compiler === undefined) return { rules };
    const file = this.#file(rules);
    const known = this.#known.get(file);
    if (known !== undefined) return { bpf: known };
    try {
      const filter = this.#unseal(fs.readFileSync(file));
      if (filter === undefined) return { rules };
      const bpf = filter.toString('base64');
      this.#known.set(file, bpf);
      return { bpf };
    } catch {
      return { rules };
    }
  }

  /** To be called after a container was made from rules. `compiled` is crun's file; missing: nothing is learnt. */
  async learn(rules: OciSeccomp, compiled: string): Promise<void> {
    if (this.#compiler === undefined) return;
    let filter: Buffer;
    try {
      filter = await fs.promises.readFile(compiled);
    } catch {
      return;
    }
    if (!isFilter(filter)) return;
    await fs.promises.mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const file = this.#file(rules);
    await writeFileAtomic(file, Buffer.concat([digestOf(filter), filter]));
    this.#known.set(file, filter.toString('base64'));
  }

  #file(rules: OciSeccomp): string {
    let key = this.#keys.get(rules);
    if (key === undefined) {
      key = crypto.createHash('sha256').update(JSON.stringify([this.#compiler, rules])).digest('hex').slice(0, 32);
      this.#keys.set(rules, key);
    }
    return path.join(this.#dir, `${key}.bpf`);
  }
}

const DIGEST_BYTES = 32;

function digestOf(filter: Buffer): Buffer {
  return crypto.createHash('sha256').update(filter).digest();
}

/** A flipped bit can make a refusal an approval, and the kernel would take it: what is damaged is compiled anew. */
function unsealedFilter(file: Buffer): Buffer | undefined {
  const filter = file.subarray(DIGEST_BYTES);
  return isFilter(filter) && digestOf(filter).equals(file.subarray(0, DIGEST_BYTES)) ? filter : undefined;
}

function isFilter(filter: Buffer): boolean {
  return filter.length >= 16 && filter.length <= MAX_FILTER_BYTES && filter.length % 8 === 0;
}

/** What compiles for this crun: `crun --version` and the libseccomp it finds. */
export function seccompCompiler(crunVersion: string): string | undefined {
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(crunVersion)?.slice(1) ?? []).map(Number);
  if (major > 1 || (major === 1 && minor > 8)) return undefined;
  const dirs = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib'];
  for (const dir of dirs) {
    try {
      return `crun ${major}.${minor} ${path.basename(fs.realpathSync(path.join(dir, 'libseccomp.so.2')))} ${process.arch}`;
    } catch {
      // not there
    }
  }
  return `crun ${major}.${minor} ${process.arch}`;
}
