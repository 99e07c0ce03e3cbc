/** A process that lives in memory: it has input, output, signals and an end. */
import type { ExitReason, OutputChunk } from '../driver.ts';
import { ChunkPipe } from './chunk-pipe.ts';

export interface FakeEnd {
  readonly exitCode: number;
  readonly reason: ExitReason;
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15, SIGCHLD: 17, SIGWINCH: 28 };
const HARMLESS: ReadonlySet<string> = new Set(['SIGCHLD', 'SIGWINCH', 'SIGCONT', 'SIGURG']);

/** Where a fake process finds itself. */
export interface FakePlace {
  readonly hostname: string;
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  /** Files by path; they outlive the unit as its upper does. */
  readonly files: Map<string, string>;
  /** Commands that run there, as `ps` shows them. */
  readonly commands: () => readonly string[];
}

export class FakeProcess {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly place: FakePlace;
  readonly input = new ChunkPipe<Uint8Array>();
  readonly exited: Promise<FakeEnd>;
  /** Replaces what a signal does; SIGKILL never asks. */
  onSignal: ((signal: string) => void) | undefined;
  readonly #sink: (chunk: OutputChunk) => Promise<void>;
  readonly #frozenSignals: string[] = [];
  #thawed: PromiseWithResolvers<void> | undefined;
  #end: FakeEnd | undefined;
  #settle!: (end: FakeEnd) => void;

  constructor(parts: { readonly args: readonly string[]; readonly env: readonly string[]; readonly place: FakePlace; readonly sink: (chunk: OutputChunk) => Promise<void> }) {
    this.args = parts.args;
    this.env = parts.env;
    this.place = parts.place;
    this.#sink = parts.sink;
    this.exited = new Promise((resolve) => { this.#settle = resolve; });
  }

  get end(): FakeEnd | undefined {
    return this.#end;
  }

  async write(stream: OutputChunk['stream'], data: string | Uint8Array): Promise<void> {
    while (this.#thawed !== undefined) await this.#thawed.promise;
    if (this.#end !== undefined) return;
    await this.#sink({ stream, data: typeof data === 'string' ? new TextEncoder().encode(data) : data });
  }

  exit(exitCode: number, reason: ExitReason = 'exited'): void {
    if (this.#end !== undefined) return;
    this.#end = { exitCode, reason };
    this.input.cancel();
    this.#settle(this.#end);
  }

  signal(name: string): void {
    if (name === 'SIGKILL') {
      this.exit(137, 'killed');
      this.freeze(false);
      return;
    }
    if (this.#thawed !== undefined) {
      this.#frozenSignals.push(name);
      return;
    }
    if (this.onSignal !== undefined) this.onSignal(name);
    else if (!HARMLESS.has(name)) this.exit(128 + (SIGNAL_NUMBERS[name] ?? 0), 'killed');
  }

  /** A frozen process writes nothing, and takes its signals when it is thawed. */
  freeze(frozen: boolean): void {
    if (frozen) {
      this.#thawed ??= Promise.withResolvers();
      return;
    }
    this.#thawed?.resolve();
    this.#thawed = undefined;
    for (const name of this.#frozenSignals.splice(0)) this.signal(name);
  }
}
