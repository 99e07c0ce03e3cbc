/**
 * What a daemon holds of the outside, wrapped so that the daemon can die at any call: after its death no call of it
 * arrives any more and none returns, as after SIGKILL. Every call is seen before it goes out and after it came back.
 */

export interface OutsideCall {
  /** store, network, container, vm, storage, content, unpacker, hook */
  readonly on: string;
  readonly method: string;
  readonly args: readonly unknown[];
}

export class Life {
  /** May throw in the call's place, wait, or end this life. */
  before: (call: OutsideCall) => void | Promise<void> = () => undefined;
  after: (call: OutsideCall) => void | Promise<void> = () => undefined;
  readonly died: Promise<void>;
  #dead = false;
  #die!: () => void;

  constructor() {
    this.died = new Promise((resolve) => { this.#die = resolve; });
  }

  get isOver(): boolean {
    return this.#dead;
  }

  end(): void {
    this.#dead = true;
    this.#die();
  }

  /** Never returns when this life is over. */
  async passed<T>(call: OutsideCall, work: () => T | Promise<T>): Promise<T> {
    if (this.#dead) return NEVER;
    await this.before(call);
    if (this.#dead) return NEVER;
    const result = await work();
    if (!this.#dead) await this.after(call);
    return this.#dead ? NEVER : result;
  }
}

const NEVER = new Promise<never>(() => undefined);

/** Methods that answer at once and change nothing outside. */
const PLAIN: ReadonlySet<string> = new Set(['layerPath', 'rootPaths', 'volumePath', 'nameservers', 'watch', 'exportArchive', 'openBlob', 'lease', 'layerBytes', 'diskFile', 'diskBytes', 'readDisk', 'settled', 'image']);

export function mortal<T extends object>(on: string, target: T, life: Life): T {
  return new Proxy(target, {
    get(_target, key) {
      const value = Reflect.get(target, key, target) as unknown;
      if (typeof value !== 'function') return value;
      const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
      if (typeof key !== 'string' || PLAIN.has(key)) return call;
      return (...args: unknown[]) => life.passed({ on, method: key, args }, () => call(...args));
    },
  });
}
