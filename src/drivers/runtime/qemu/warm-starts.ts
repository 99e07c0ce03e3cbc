/** Which machines can resume from a template, and when one is made: after the first boot of a shape, beside what runs, one at a time. */
import fs from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { BerthError } from '../../../model/errors.ts';
import type { TemplateInfo, UnitPlan } from '../driver.ts';
import { machineShape } from './machine.ts';
import type { GuestKernelFiles } from './microvm-options.ts';
import { TemplateStore, templateName, type Template, type TemplateLimits } from './template-store.ts';
import type { TemplateFiles } from './make-template.ts';

/** `project`: machines of one project share templates and no others do; `shared`: all of this host. */
export type WarmStartMode = 'off' | 'project' | 'shared';

/** Failures in a row after which no more templates of a shape are made. */
const MAX_FAILURES = 3;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export interface WarmStartParts {
  readonly mode: WarmStartMode;
  readonly dir: string;
  readonly qemu: string;
  readonly limits?: TemplateLimits | undefined;
  /** From a machine's start to the making of a template of its kind. */
  readonly delayMs: number;
  /** Makes the files; resolves with the template's nonce. */
  readonly make: (plan: UnitPlan, files: TemplateFiles, signal: AbortSignal) => Promise<string>;
  readonly timings?: ((done: 'begun' | 'blank gone' | 'admitted') => void) | undefined;
  /** Nobody waits for a template: why there is none is only told here. */
  readonly complain: (error: unknown) => void;
}

export class WarmStarts implements AsyncDisposable {
  readonly #parts: WarmStartParts;
  readonly #store: TemplateStore;
  readonly #failures = new Map<string, number>();
  readonly #wanted = new Set<string>();
  readonly #closed = new AbortController();
  #queue: Promise<void> = Promise.resolve();

  constructor(parts: WarmStartParts) {
    this.#parts = parts;
    this.#store = new TemplateStore(parts.dir, parts.limits);
  }

  /** Takes away what nothing can resume from any more: templates of another QEMU, kernel or agent, and of an earlier boot of the host. */
  async settle(kernel: GuestKernelFiles): Promise<void> {
    const qemu = await fs.promises.stat(this.#parts.qemu, { bigint: true });
    await this.#store.settle(templateName([
      this.#parts.qemu, ...[qemu.dev, qemu.ino, qemu.size, qemu.mtimeNs].map(String), kernel.digest, fs.readFileSync(BOOT_ID, 'latin1'),
    ]));
  }

  /** The name of what this machine could resume from; `own` is its kernel where it is not the one of all. undefined: this one boots. */
  async key(plan: UnitPlan, accelerator: 'kvm' | 'tcg', kernel: GuestKernelFiles, own?: GuestKernelFiles): Promise<string | undefined> {
    // A template would have to hold disks of the sizes of its volumes; memory that is shared with a virtiofsd is nobody's copy.
    if (this.#parts.mode === 'off' || plan.form !== 'microVM' || (plan.volumeDisks ?? []).length > 0 || plan.mounts.length > 0) return undefined;
    await this.settle(kernel);
    return templateName([this.#parts.mode === 'shared' ? '' : `project ${plan.project}`, ...(own === undefined ? [] : [`kernel ${own.digest}`]), ...machineShape(plan, accelerator, this.#parts.qemu)]);
  }

  find(key: string): Template | undefined {
    return this.#store.find(key);
  }

  /** A machine of this kind booted: the next one shall not have to. Returns at once. */
  wish(key: string, plan: UnitPlan): void {
    if (this.#wanted.has(key) || this.#closed.signal.aborted || (this.#failures.get(key) ?? 0) >= MAX_FAILURES || this.#store.find(key) !== undefined) return;
    this.#wanted.add(key);
    this.#queue = this.#queue.then(() => this.#make(key, plan)).catch((error: unknown) => { this.#failed(key, error); }).finally(() => this.#wanted.delete(key));
  }

  resumed(key: string): void {
    this.#failures.delete(key);
  }

  /** It could not be resumed from. */
  async spoilt(key: string, error: unknown): Promise<void> {
    this.#failed(key, error);
    await this.#store.discard(key);
  }

  /** Resolves when nothing is being made. */
  async settled(): Promise<void> {
    for (let last; last !== this.#queue;) await (last = this.#queue);
  }

  usage(): { readonly count: number; readonly bytes: number } {
    return this.#store.usage();
  }

  list(): readonly TemplateInfo[] {
    return this.#store.list();
  }

  prune(usedBeforeMs: number): Promise<readonly TemplateInfo[]> {
    return this.#store.prune(usedBeforeMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.settled();
  }

  async #make(key: string, plan: UnitPlan): Promise<void> {
    const { signal } = this.#closed;
    await pause(this.#parts.delayMs, undefined, { signal });
    const { dir, ...files } = await this.#store.begin(key);
    try {
      this.#parts.timings?.('begun');
      const nonce = await this.#parts.make(plan, files, signal);
      this.#parts.timings?.('blank gone');
      if (!await this.#store.admit(key, dir, nonce, { ...(this.#parts.mode === 'shared' ? {} : { project: plan.project }), memoryBytes: plan.resources.memoryBytes })) throw new BerthError('exhausted', 'A template has no place: what it depends on changed meanwhile, or it takes more than all of them may.');
      this.#parts.timings?.('admitted');
    } finally {
      await fs.promises.rm(dir, { recursive: true, force: true });
    }
  }

  #failed(key: string, error: unknown): void {
    if (this.#closed.signal.aborted) return;
    this.#parts.complain(error);
    this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1);
  }
}
