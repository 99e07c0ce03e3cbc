/**
 * Templates: the memory of machines that booted and were given nothing yet, on disk. DIR/FACTS/KEY/{ram,state,template.json},
 * root's alone. FACTS names what all templates depend on (QEMU, kernel, agent, the host's boot), KEY the project and the
 * machine's shape. An entry appears whole by a rename, is never written again, and goes by being unlinked: machines that
 * resumed from it keep what they have mapped.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { TemplateInfo } from '../driver.ts';

export interface TemplateLimits {
  readonly count: number;
  /** Of what they take on disk. */
  readonly bytes: number;
}

export const TEMPLATE_LIMITS: TemplateLimits = { count: 8, bytes: 1024 * 1024 * 1024 };

export interface Template {
  readonly key: string;
  readonly ramFile: string;
  readonly stateFile: string;
  /** The word that its agent answers to. */
  readonly nonce: string;
}

/** For whom and of what size it was made. */
export interface TemplateOrigin {
  /** undefined: for all. */
  readonly project?: string | undefined;
  readonly memoryBytes?: number | undefined;
}

interface Entry extends Template, TemplateOrigin {
  readonly dir: string;
  readonly bytes: number;
  readonly madeAtMs: number;
  usedAtMs: number;
}

const DESCRIPTION = z.object({ nonce: z.string().regex(/^[0-9a-f]{32}$/), project: z.string().max(63).optional(), memoryBytes: z.number().optional() });
const FORMAT = 1;

/** A name for what must be the same, whatever its parts hold. */
export function templateName(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify([FORMAT, ...parts])).digest('hex').slice(0, 32);
}

export class TemplateStore {
  readonly #dir: string;
  readonly #limits: TemplateLimits;
  readonly #entries = new Map<string, Entry>();
  #facts = '';
  #settled: Promise<void> = Promise.resolve();

  constructor(dir: string, limits: TemplateLimits = TEMPLATE_LIMITS) {
    this.#dir = dir;
    this.#limits = limits;
  }

  /** Says what is true now. Templates of other facts, and what was never finished, are taken away. */
  settle(facts: string): Promise<void> {
    if (facts === this.#facts) return this.#settled;
    this.#facts = facts;
    this.#entries.clear();
    return (this.#settled = this.#read(facts));
  }

  find(key: string): Template | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    entry.usedAtMs = Date.now();
    // For the order after a restart of the daemon; who cannot write it only forgets.
    fs.promises.utimes(path.join(entry.dir, 'template.json'), new Date(), new Date()).catch(() => undefined);
    return entry;
  }

  /** An empty directory for one that is being made; not there for anybody until `admit`. */
  async begin(key: string): Promise<{ readonly dir: string; readonly ramFile: string; readonly stateFile: string }> {
    const base = path.join(this.#dir, this.#facts);
    await fs.promises.mkdir(base, { recursive: true, mode: 0o700 });
    const dir = await fs.promises.mkdtemp(path.join(base, `new-${key}-`));
    return { dir, ramFile: path.join(dir, 'ram'), stateFile: path.join(dir, 'state') };
  }

  /** False: what it depends on changed meanwhile. */
  async admit(key: string, dir: string, nonce: string, origin: TemplateOrigin = {}): Promise<boolean> {
    await fs.promises.writeFile(path.join(dir, 'template.json'), JSON.stringify({ nonce, ...origin }), { mode: 0o600 });
    const final = path.join(this.#dir, this.#facts, key);
    if (path.dirname(dir) !== path.dirname(final)) return false;
    await this.discard(key);
    await fs.promises.rename(dir, final);
    const entry = await readEntry(final, key);
    if (entry === undefined) return false;
    entry.usedAtMs = Date.now(); // a file's time is coarser
    this.#entries.set(key, entry);
    await this.#bound();
    return this.#entries.has(key);
  }

  async discard(key: string): Promise<void> {
    const dir = this.#entries.get(key)?.dir ?? path.join(this.#dir, this.#facts, key);
    this.#entries.delete(key);
    await fs.promises.rm(dir, { recursive: true, force: true });
  }

  usage(): { readonly count: number; readonly bytes: number } {
    const entries = [...this.#entries.values()];
    return { count: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0) };
  }

  list(): readonly TemplateInfo[] {
    return [...this.#entries.values()].map(({ key, project, memoryBytes, bytes, madeAtMs, usedAtMs }) => ({ key, ...(project === undefined ? {} : { project }), ...(memoryBytes === undefined ? {} : { memoryBytes }), bytes, madeAtMs, usedAtMs }));
  }

  /** Takes those away that nothing resumed from since then; resolves with them. */
  async prune(usedBeforeMs: number): Promise<readonly TemplateInfo[]> {
    const unused = this.list().filter(({ usedAtMs }) => usedAtMs <= usedBeforeMs);
    for (const { key } of unused) await this.discard(key);
    return unused;
  }

  async #read(facts: string): Promise<void> {
    const names = await fs.promises.readdir(this.#dir).catch(() => []);
    for (const name of names.filter((one) => one !== facts)) await fs.promises.rm(path.join(this.#dir, name), { recursive: true, force: true });
    const base = path.join(this.#dir, facts);
    for (const key of await fs.promises.readdir(base).catch(() => [])) {
      const entry = await readEntry(path.join(base, key), key);
      if (entry === undefined) await fs.promises.rm(path.join(base, key), { recursive: true, force: true });
      else if (facts === this.#facts) this.#entries.set(key, entry);
    }
    await this.#bound();
  }

  async #bound(): Promise<void> {
    for (;;) {
      const { count, bytes } = this.usage();
      if (count <= this.#limits.count && bytes <= this.#limits.bytes) return;
      const oldest = [...this.#entries.values()].reduce((a, b) => (b.usedAtMs < a.usedAtMs ? b : a));
      await this.discard(oldest.key);
    }
  }
}

const BLOCK_BYTES = 512;

async function readEntry(dir: string, key: string): Promise<Entry | undefined> {
  const ramFile = path.join(dir, 'ram'), stateFile = path.join(dir, 'state'), description = path.join(dir, 'template.json');
  try {
    const { nonce, ...origin } = DESCRIPTION.parse(JSON.parse(await fs.promises.readFile(description, 'utf8')));
    const [ram, state, said] = await Promise.all([ramFile, stateFile, description].map((file) => fs.promises.stat(file)));
    return { key, dir, ramFile, stateFile, nonce, ...origin, bytes: (ram!.blocks + state!.blocks) * BLOCK_BYTES, madeAtMs: ram!.mtimeMs, usedAtMs: said!.mtimeMs };
  } catch {
    return undefined;
  }
}
