/** Ids of one kind, leased by the chunk and handed out from memory, so that a start touches no file. */
import { spansOverlap } from './claimed-ids.ts';
import type { IdSpan } from './claimed-ids.ts';

export interface IdPoolShape {
  /** Where chunks may lie, first choice first. */
  readonly areas: readonly IdSpan[];
  /** Ids handed out together. */
  readonly step: number;
  readonly stepsPerChunk: number;
}

/** Leases a chunk and answers its first id; throws `exhausted` when there is none. `choose` picks one that neither a root nor the host has. */
export type LeaseChunk = (choose: (held: ReadonlySet<number>, claims: readonly IdSpan[]) => number | undefined) => Promise<number>;

export class IdPool {
  readonly #shape: IdPoolShape;
  readonly #lease: LeaseChunk;
  readonly #free: number[] = [];
  readonly #used = new Set<number>();
  #refilling: Promise<void> | undefined;

  constructor(shape: IdPoolShape, lease: LeaseChunk) {
    this.#shape = shape;
    this.#lease = lease;
  }

  /** Of a chunk that an earlier daemon leased: what overlaps `live` stays taken until it is given back. */
  inherit(chunk: number, live: readonly IdSpan[]): void {
    const { step, stepsPerChunk } = this.#shape;
    for (let i = stepsPerChunk - 1; i >= 0; i--) {
      const id = chunk + i * step;
      if (this.#used.has(id)) continue;
      if (live.some((span) => spansOverlap(span, { first: id, last: id + step - 1 }))) this.#used.add(id);
      else this.#free.push(id);
    }
  }

  async take(): Promise<number> {
    while (this.#free.length === 0) {
      this.#refilling ??= this.#refill().finally(() => {
        this.#refilling = undefined;
      });
      await this.#refilling;
    }
    const id = this.#free.pop()!;
    this.#used.add(id);
    return id;
  }

  /** Somebody has it already. */
  keep(id: number): void {
    const at = this.#free.indexOf(id);
    if (at >= 0) this.#free.splice(at, 1);
    this.#used.add(id);
  }

  give(id: number): void {
    if (this.#used.delete(id) && this.chunkOf(id) !== undefined) this.#free.push(id);
  }

  /** First id of the chunk in which it lies; undefined when it is none of ours. */
  chunkOf(id: number): number | undefined {
    const size = this.#shape.step * this.#shape.stepsPerChunk;
    const area = this.#shape.areas.find((span) => span.first <= id && id <= span.last);
    return area === undefined ? undefined : area.first + Math.floor((id - area.first) / size) * size;
  }

  async #refill(): Promise<void> {
    const size = this.#shape.step * this.#shape.stepsPerChunk;
    const chunk = await this.#lease((held, claims) => {
      for (const area of this.#shape.areas) {
        for (let first = area.first; first + size - 1 <= area.last; first += size) {
          if (!held.has(first) && !claims.some((claim) => spansOverlap(claim, { first, last: first + size - 1 }))) return first;
        }
      }
      return undefined;
    });
    this.inherit(chunk, []);
  }
}
