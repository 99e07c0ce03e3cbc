/** Published ports: translated by rules where the host is reached from outside, carried by a small proxy on loopback. */
import type { ObjectId } from '../../../model/ids.ts';
import type { Leases } from '../../../host/leases.ts';
import type { PublishedPort } from '../driver.ts';
import { publishedFacts } from './facts.ts';
import type { RuleKeeper } from './rule-keeper.ts';

export interface PublisherOptions {
  readonly rules: RuleKeeper;
  readonly leases: Leases;
  readonly program: string;
  readonly runDir: string;
}

export class Publisher implements AsyncDisposable {
  readonly #options: PublisherOptions;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  async publish(owner: ObjectId, ports: readonly PublishedPort[]): Promise<void> {
    await this.#options.rules.set(`published:${owner}`, ports.flatMap(publishedFacts));
  }

  async unpublish(owner: ObjectId): Promise<void> {
    await this.#options.rules.set(`published:${owner}`, []);
  }

  async repair(): Promise<readonly string[]> {
    return [];
  }

  async remove(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
