/**
 * Sandboxes on the `default` network, made ahead of need: a start then takes namespaces, id range, addresses and rules
 * that are there already. A crash leaves none behind: addresses are only reserved in memory and the kernel reaps the rest.
 */
import type { NetworkDriver, PortPlan, Sandbox } from '../../drivers/network/driver.ts';
import type { Network } from '../../model/network.ts';
import type { Randomness } from '../clock.ts';
import type { Logger } from '../services.ts';
import type { Addresses } from './addresses.ts';
import { makePort } from './ports.ts';

const POOL_SIZE = 8;

export class SandboxPool implements AsyncDisposable {
  readonly #parts: { readonly driver: NetworkDriver; readonly addresses: Addresses; readonly randomness: Randomness; readonly log: Logger };
  readonly #ready = new Map<string, Sandbox[]>();
  readonly #filling = new Map<string, Promise<void>>();
  #closed = false;

  constructor(parts: { driver: NetworkDriver; addresses: Addresses; randomness: Randomness; log: Logger }) {
    this.#parts = parts;
  }

  /** One that is ready, or undefined: then the caller opens its own. Either way the pool fills up again. */
  take(network: Network): Sandbox | undefined {
    const sandbox = this.#ready.get(network.meta.id)?.shift();
    this.fill(network);
    return sandbox;
  }

  fill(network: Network): void {
    const id = network.meta.id;
    if (this.#closed || this.#filling.has(id)) return;
    const work = this.#fill(network)
      .catch((error: unknown) => this.#parts.log.warn({ network: network.meta.name, error: String(error) }, 'the sandbox pool could not be filled'))
      .finally(() => this.#filling.delete(id));
    this.#filling.set(id, work);
  }

  async #fill(network: Network): Promise<void> {
    const { driver, addresses, randomness } = this.#parts;
    const ready = this.#ready.get(network.meta.id) ?? [];
    this.#ready.set(network.meta.id, ready);
    while (ready.length < POOL_SIZE && !this.#closed) {
      const missing = POOL_SIZE - ready.length;
      const opened = await Promise.allSettled(Array.from({ length: missing }, async () => {
        const pair = addresses.reserve(network);
        const port: PortPlan = makePort(network, 'eth0', pair, randomness);
        try {
          return await driver.openSandbox({ ports: [port] });
        } catch (error) {
          addresses.settle(network.meta.id, pair.ipv4);
          throw error;
        }
      }));
      for (const result of opened) {
        if (result.status === 'rejected') throw result.reason;
        if (this.#closed) await driver.closeSandbox(result.value);
        else ready.push(result.value);
      }
    }
  }

  /** Ports that are in the pool, for who looks for leaks. */
  portIds(): string[] {
    return [...this.#ready.values()].flat().flatMap((sandbox) => sandbox.ports.map((port) => port.portId));
  }

  /** Gives back what is pooled on a network that goes away. */
  async drain(networkId: string): Promise<void> {
    await this.#filling.get(networkId);
    const sandboxes = this.#ready.get(networkId) ?? [];
    this.#ready.delete(networkId);
    for (const sandbox of sandboxes) {
      await this.#parts.driver.closeSandbox(sandbox);
      for (const port of sandbox.ports) this.#parts.addresses.settle(port.network, port.ipv4);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const id of [...this.#ready.keys()]) await this.drain(id);
  }
}
