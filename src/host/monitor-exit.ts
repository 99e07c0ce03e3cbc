/** Exit records as conmon leaves them: one file per unit in one directory, watched once for all units (inotify). */
import fs from 'node:fs';
import path from 'node:path';

export interface MonitorExit {
  /** 0–255; 128 + signal for a killed process. */
  readonly exitCode: number;
  readonly finishedAtMs: number;
  /** Why, where somebody who knew kept it with the record. */
  readonly reason?: string | undefined;
}

/** How often the directory is read in case the kernel dropped a notification (its queue is bounded). */
const SWEEP_MS = 5_000;
/** conmon writes the number alone. */
const RECORD = /^(-?\d{1,10})(?: ([a-z]{1,16}))?$/;

export class MonitorExits implements Disposable {
  readonly #dir: string;
  readonly #waiting = new Map<string, Set<(exit: MonitorExit) => void>>();
  #watcher: fs.FSWatcher | undefined;
  #sweep: NodeJS.Timeout | undefined;

  /** `dir` is made (0700) where missing. */
  constructor(dir: string) {
    this.#dir = dir;
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  get dir(): string {
    return this.#dir;
  }

  /** undefined: no record (yet). */
  read(id: string): MonitorExit | undefined {
    const file = path.join(this.#dir, id);
    try {
      const text = fs.readFileSync(file, 'latin1').trim();
      const match = RECORD.exec(text);
      if (match === null) return undefined;
      return { exitCode: Number(match[1]) & 0xff, finishedAtMs: Math.trunc(fs.statSync(file).mtimeMs), ...(match[2] === undefined ? {} : { reason: match[2] }) };
    } catch {
      return undefined;
    }
  }

  /** The record stays when all else of the unit goes, with the reason that was known of it. */
  keep(id: string, exit: { readonly exitCode: number; readonly finishedAtMs: number; readonly reason: string }): void {
    const file = path.join(this.#dir, id), temporary = path.join(this.#dir, `.${id}`);
    fs.writeFileSync(temporary, `${exit.exitCode} ${exit.reason}`, { mode: 0o600 });
    fs.utimesSync(temporary, exit.finishedAtMs / 1000, exit.finishedAtMs / 1000);
    fs.renameSync(temporary, file);
  }

  /** Takes the record away; who waits for it gets it before. */
  forget(id: string): void {
    this.#look(id);
    fs.rmSync(path.join(this.#dir, id), { force: true });
  }

  /** Ids of all records that are there. */
  ids(): readonly string[] {
    return fs.readdirSync(this.#dir).filter((name) => /^[0-9a-z-]+$/.test(name));
  }

  /** Resolves with the record; `signal` takes the wait back (rejects with its reason). */
  wait(id: string, signal?: AbortSignal): Promise<MonitorExit> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      this.#watch();
      const set = this.#waiting.get(id) ?? new Set();
      const leave = (): void => {
        set.delete(settle);
        if (set.size === 0 && this.#waiting.get(id) === set) this.#waiting.delete(id);
        signal?.removeEventListener('abort', abort);
        this.#rest();
      };
      const settle = (exit: MonitorExit): void => {
        leave();
        resolve(exit);
      };
      const abort = (): void => {
        leave();
        reject(signal!.reason as Error);
      };
      set.add(settle);
      this.#waiting.set(id, set);
      signal?.addEventListener('abort', abort, { once: true });
      this.#look(id); // after the watch is armed: a record that lands in between is not missed
    });
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    this.#waiting.clear();
  }

  #look(id: string): void {
    const set = this.#waiting.get(id);
    if (set === undefined) return;
    const exit = this.read(id);
    if (exit !== undefined) for (const settle of [...set]) settle(exit);
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    this.#watcher = fs.watch(this.#dir, { persistent: true }, (_event, name) => {
      if (name === null) this.#lookAtAll();
      else this.#look(name);
    });
    this.#watcher.on('error', () => undefined); // the sweep goes on
    this.#sweep = setInterval(() => { this.#lookAtAll(); }, SWEEP_MS);
  }

  #lookAtAll(): void {
    for (const id of [...this.#waiting.keys()]) this.#look(id);
  }

  /** Nobody waits: let the process end. The watch itself stays, it is used again at once. */
  #rest(): void {
    if (this.#waiting.size > 0) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}
