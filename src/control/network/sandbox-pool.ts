/**
 * Sandboxes on the `default` network, made ahead of need: a start then takes namespaces, id range, addresses and rules
 * that are there already. A crash leaves none behind: addresses are only reserved in memory and the kernel reaps the rest.
 */
import type { NetworkDriver, PortPlan, Sandbox } from '../../drivers/network/driver.ts';
import type { Network } from '../../model/network.ts';
import type { Clock, Randomness } from '../clock.ts';
import type { Logger } from '../services.ts';
import type { Addresses } from './addresses.ts';
import { makePort } from './ports.ts';

const POOL_SIZE = 8;
/** How long a sandbox waits for the start of the instance that was created with its addresses. */
const PARKED_MS = 10_000;
const MOST_PARKED = 32;

export class SandboxPool implements AsyncDisposable {
  readonly #parts: { readonly driver: NetworkDriver; readonly addresses: Addresses; readonly randomness: Randomness; readonly clock: Clock; readonly log: Logger };
  readonly #ready = new Map<string, Sandbox[]>();
  readonly #filling = new Map<string, Promise<void>>();
  /** Ports of sandboxes that are being opened or closed. */
  readonly #busy = new Set<string>();
  readonly #parked = new Map<string, { readonly sandbox: Sandbox; readonly cancel: () => void }>();
  #closed = false;

  constructor(parts: { driver: NetworkDriver; addresses: Addresses; randomness: Randomness; clock: Clock; log: Logger }) {
    this.#parts = parts;
  }

  /** One that is ready, or undefined: then the caller opens its own. Either way the pool fills up again. */
  take(network: Network): Sandbox | undefined {
    const sandbox = this.#ready.get(network.meta.id)?.shift();
    this.fill(network);
    return sandbox;
  }

  /** Keeps the sandbox of an instance that was made and will probably be started in a moment. */
  park(instanceId: string, sandbox: Sandbox): void {
    const expire = () => {
      if (this.unpark(instanceId) !== undefined) void this.#close(sandbox);
    };
    if (this.#closed || this.#parked.size >= MOST_PARKED) return void this.#close(sandbox);
    this.#parked.set(instanceId, { sandbox, cancel: this.#parts.clock.after(PARKED_MS, expire) });
  }

  unpark(instanceId: string): Sandbox | undefined {
    const parked = this.#parked.get(instanceId);
    parked?.cancel();
    this.#parked.delete(instanceId);
    return parked?.sandbox;
  }

  /** The instance goes away without a start. */
  async discard(instanceId: string): Promise<void> {
    const sandbox = this.unpark(instanceId);
    if (sandbox !== undefined) await this.#close(sandbox);
  }

  #close(sandbox: Sandbox): Promise<void> {
    return this.#parts.driver.closeSandbox(sandbox).catch((error: unknown) => this.#parts.log.warn({ error: String(error) }, 'a sandbox could not be closed'));
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
        this.#busy.add(port.portId);
        try {
          return await driver.openSandbox({ ports: [port] });
        } catch (error) {
          addresses.settle(network.meta.id, pair.ipv4);
          throw error;
        } finally {
          this.#busy.delete(port.portId);
        }
      }));
      for (const result of opened) {
        if (result.status === 'rejected') continue;
        if (this.#closed) await driver.closeSandbox(result.value);
        else ready.push(result.value);
      }
      const failed = opened.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
  }

  /** Ports that are in the pool, for who looks for leaks. */
  portIds(): string[] {
    const kept = [...[...this.#ready.values()].flat(), ...[...this.#parked.values()].map((parked) => parked.sandbox)];
    return [...this.#busy, ...kept.flatMap((sandbox) => sandbox.ports.map((port) => port.portId))];
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
    for (const id of [...this.#parked.keys()]) await this.discard(id);
  }
}
