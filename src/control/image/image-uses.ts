/**
 * Images that somebody is about to use: between the look at an image and the commit of what relies on it, nobody may take
 * the image away. In memory, because it never outlives a request.
 */
export class ImageUses {
  readonly #counts = new Map<string, number>();

  /** By the image's id. Let go by `using`. */
  hold(imageId: string): Disposable {
    this.#counts.set(imageId, (this.#counts.get(imageId) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = this.#counts.get(imageId)! - 1;
        if (left === 0) this.#counts.delete(imageId);
        else this.#counts.set(imageId, left);
      },
    };
  }

  has(imageId: string): boolean {
    return this.#counts.has(imageId);
  }
}
