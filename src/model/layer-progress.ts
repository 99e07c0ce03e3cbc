/** How far each layer of an image is while it is fetched or sent: what an operation carries and a terminal draws. */

/**
 * `waiting`: nothing came yet · `moving`: bytes come in or go out · `verifying`: all bytes are there, digest and disk are
 * waited for · `unpacking`: its tree is being made · `done` · `present`: it was there already, nothing was moved
 */
export type LayerState = 'waiting' | 'moving' | 'verifying' | 'unpacking' | 'done' | 'present';

export interface LayerProgress {
  readonly digest: string;
  readonly state: LayerState;
  /** Compressed bytes that are there, and all of them. */
  readonly bytes: number;
  readonly totalBytes: number;
}

const TELL_MS = 100;

/** Tells of layers in order, each at most ten times a second while it moves, and of every change of state. */
export class LayerMeter {
  readonly #tell: (progress: LayerProgress) => void;
  readonly #nowMs: () => number;
  readonly #layers = new Map<string, LayerProgress & { readonly toldMs: number }>();

  constructor(layers: readonly { readonly digest: string; readonly size: number }[], tell: ((progress: LayerProgress) => void) | undefined, nowMs: () => number = () => performance.now()) {
    this.#tell = tell ?? (() => undefined);
    this.#nowMs = nowMs;
    for (const { digest, size } of layers) {
      if (!this.#layers.has(digest)) this.#set({ digest, state: 'waiting', bytes: 0, totalBytes: size });
    }
  }

  #set(progress: LayerProgress): void {
    this.#layers.set(progress.digest, { ...progress, toldMs: this.#nowMs() });
    this.#tell(progress);
  }

  /** `bytes` are all that are there. What the meter was not made for is not told. */
  bytes(digest: string, bytes: number): void {
    const layer = this.#layers.get(digest);
    if (layer === undefined || (layer.state === 'moving' && this.#nowMs() - layer.toldMs < TELL_MS)) return;
    this.#set({ digest, state: 'moving', bytes, totalBytes: layer.totalBytes });
  }

  state(digest: string, state: LayerState): void {
    const layer = this.#layers.get(digest);
    if (layer === undefined || layer.state === state) return;
    this.#set({ digest, state, bytes: state === 'waiting' ? 0 : state === 'moving' ? layer.bytes : layer.totalBytes, totalBytes: layer.totalBytes });
  }

  /** As it stands, for somebody who comes later. */
  all(): readonly LayerProgress[] {
    return [...this.#layers.values()].map(({ digest, state, bytes, totalBytes }) => ({ digest, state, bytes, totalBytes }));
  }
}
