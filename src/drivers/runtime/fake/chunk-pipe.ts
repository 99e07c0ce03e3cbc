/** Bytes from a writer that waits for room to one reader that may be slow. */

const ROOM_BYTES = 64 * 1024;

export class ChunkPipe<T> implements AsyncIterable<T> {
  #items: { readonly item: T; readonly bytes: number }[] = [];
  #waitingBytes = 0;
  #ended = false;
  #cancelled = false;
  #wake: (() => void)[] = [];

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves when it was taken in; at once when nobody will read any more. */
  async push(item: T, bytes: number): Promise<void> {
    while (this.#waitingBytes >= ROOM_BYTES && !this.#cancelled) await this.#change();
    if (this.#ended || this.#cancelled) return;
    this.#items.push({ item, bytes });
    this.#waitingBytes += bytes;
    this.#changed();
  }

  /** The reader gets what waits, then the end. */
  end(): void {
    this.#ended = true;
    this.#changed();
  }

  /** The reader went away: writers wait no longer. */
  cancel(): void {
    this.#cancelled = true;
    this.#items = [];
    this.#waitingBytes = 0;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const first = this.#items.shift();
      if (first !== undefined) {
        this.#waitingBytes -= first.bytes;
        this.#changed();
        yield first.item;
      } else if (this.#ended) return;
      else await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => { this.#wake.push(resolve); });
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }
}
