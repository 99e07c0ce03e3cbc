/**
 * Watches every running unit for its end, and decides what comes then: stopped, removed (`--rm`), or started again with
 * a growing pause. One path for every form; what ended while no daemon was there comes in by adoption and goes the same way.
 */
import type { ExitRecord } from '../../drivers/runtime/driver.ts';
import type { Instance } from '../../model/instance-status.ts';
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import { describe } from '../journal.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM, type Caller } from '../services.ts';
import { idOf, runtimeOf, withStatus, type InstanceContext, type InstanceServices } from './context.ts';
import { removeEnded } from './delete.ts';
import { startInstance } from './start.ts';
import { tearDown } from './steps.ts';
import { stoppedStatus } from './stop.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 60_000;
/** Who ran this long starts counting anew. */
const STEADY_MS = 10_000;
const UP: ReadonlySet<string> = new Set(['running', 'paused', 'unsupervised', 'stopping']);

interface Watch {
  readonly abort: AbortController;
  /** Resolves when the end was dealt with: torn down, and removed where that was wished. */
  readonly settled: Promise<ExitRecord | undefined>;
}

export class Supervisor implements AsyncDisposable {
  #services!: InstanceServices;
  readonly #watches = new Map<string, Watch>();
  readonly #timers = new Map<string, () => void>();
  #closed = false;

  /** The services name their supervisor: it gets them right after it was made. */
  bind(services: InstanceServices): void {
    this.#services = services;
  }

  watch(instance: Instance): void {
    const { id } = instance.meta;
    if (this.#closed || this.#watches.has(id)) return;
    const abort = new AbortController();
    const settled = runtimeOf(this.#services, instance).waitExit(idOf(instance), abort.signal).then(
      async (exit) => {
        this.#watches.delete(id);
        await this.#ended(instance, exit);
        return exit;
      },
      (error: unknown) => {
        if (this.#watches.get(id)?.abort === abort) this.#watches.delete(id);
        if (!abort.signal.aborted) this.#services.log.error({ instance: instance.meta.name, error: describe(error) }, 'waiting for the end of an instance failed');
        return undefined;
      },
    );
    this.#watches.set(id, { abort, settled });
  }

  /** Resolves when the end of the unit that runs now was dealt with. */
  async settled(id: string): Promise<ExitRecord | undefined> {
    return this.#watches.get(id)?.settled;
  }

  /** Somebody else takes it down. */
  forget(id: string): void {
    this.cancelRestart(id);
    this.#watches.get(id)?.abort.abort();
    this.#watches.delete(id);
  }

  cancelRestart(id: string): void {
    this.#timers.get(id)?.();
    this.#timers.delete(id);
  }

  async #ended(seen: Instance, exit: ExitRecord): Promise<void> {
    const services = this.#services;
    try {
      await services.locks.hold(seen.meta.id, 'instance.exit', async () => {
        const instance = services.registry.byId<Instance>(seen.meta.id);
        if (this.#closed || instance === undefined || !UP.has(instance.status.state) || instance.status.pid !== seen.status.pid || instance.status.startedAt !== seen.status.startedAt) return;
        await this.settleEnd(instance, exit);
      });
    } catch (error) {
      services.log.error({ instance: seen.meta.name, error: describe(error) }, 'the end of an instance could not be dealt with; the next start does it');
    }
  }

  /** The caller holds the lock. */
  async settleEnd(instance: Instance, exit: ExitRecord): Promise<void> {
    const services = this.#services;
    const context: InstanceContext = { services, instance };
    for (const step of tearDown) await step.run(context);
    if (instance.spec.removeOnExit === true) return removeEnded(services, instance);
    const transaction = new Transaction();
    const stopped = stoppedStatus(services, instance, exit, false);
    const pauseMs = this.#pause(instance, exit);
    const next = pauseMs === undefined ? stopped : withStatus(stopped, { state: 'backoff', retryAt: new Date(services.clock.nowMs() + pauseMs).toISOString() });
    transaction.put(next);
    const bad = exit.exitCode !== 0;
    services.journal.records.event(transaction, exit.reason === 'oom' ? 'instance.oom' : 'instance.exited', targetOf(instance), sentence(instance, exit, pauseMs), bad ? 'warning' : 'info', { exitCode: exit.exitCode, reason: exit.reason });
    await services.registry.commit(transaction);
    if (pauseMs !== undefined) this.scheduleRestart(next, pauseMs);
  }

  /** How long to wait before it is started again; undefined: it is not. */
  #pause(instance: Instance, exit: ExitRecord): number | undefined {
    const { policy, maxRetries } = instance.spec.restart ?? { policy: FORM_DEFAULTS[instance.status.form].restart, maxRetries: undefined };
    const failed = exit.exitCode !== 0;
    const again = policy === 'always' || policy === 'unless-stopped' || (policy === 'on-failure' && failed);
    if (!again || instance.spec.running === false) return undefined;
    const ranMs = exit.finishedAtMs - Date.parse(instance.status.startedAt ?? '');
    const restarts = ranMs >= STEADY_MS ? 0 : instance.status.restarts;
    if (policy === 'on-failure' && maxRetries !== undefined && restarts >= maxRetries) return undefined;
    return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(restarts, 16));
  }

  scheduleRestart(instance: Instance, pauseMs: number): void {
    const { id } = instance.meta;
    this.cancelRestart(id);
    if (this.#closed) return;
    this.#timers.set(id, this.#services.clock.after(pauseMs, () => {
      this.#timers.delete(id);
      const current = this.#services.registry.byId<Instance>(id);
      if (this.#closed || current === undefined || current.status.state !== 'backoff') return;
      startInstance(this.#services, SYSTEM, current, { restarts: current.status.restarts + 1 }).catch((error: unknown) => {
        this.#services.log.warn({ instance: current.meta.name, error: String(error) }, 'a restart did not begin');
      });
    }));
  }

  /** A restart by policy that failed is tried again later; one that a person asked for is not. */
  startFailed(instance: Instance, caller: Caller): void {
    if (caller !== SYSTEM || instance.status.state !== 'failed') return;
    const pauseMs = this.#pause(instance, { exitCode: 1, reason: 'unknown', finishedAtMs: this.#services.clock.nowMs() });
    if (pauseMs === undefined) return;
    const transaction = new Transaction();
    const next = withStatus(instance, { state: 'backoff', retryAt: new Date(this.#services.clock.nowMs() + pauseMs).toISOString() });
    transaction.put(next, instance.meta.revision);
    this.#services.registry.commit(transaction).then(() => this.scheduleRestart(next, pauseMs), (error: unknown) => {
      this.#services.log.warn({ instance: instance.meta.name, error: String(error) }, 'a restart could not be scheduled');
    });
  }

  /** After a stop: `--rm` means that nothing of it stays. */
  async removeIfWished(id: string): Promise<void> {
    const services = this.#services;
    await services.locks.hold(id, 'instance.exit', async () => {
      const instance = services.registry.byId<Instance>(id);
      if (instance?.spec.removeOnExit === true && instance.status.state === 'stopped') await removeEnded(services, instance);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
    for (const watch of this.#watches.values()) watch.abort.abort();
    await Promise.allSettled([...this.#watches.values()].map((watch) => watch.settled));
  }
}

function sentence(instance: Instance, exit: ExitRecord, pauseMs: number | undefined): string {
  const how = exit.reason === 'oom' ? 'ran out of memory and was killed' : exit.exitCode === undefined ? 'ended; nobody saw its exit code' : `ended with exit code ${exit.exitCode}`;
  return `'${instance.meta.name}' ${how}${pauseMs === undefined ? '' : `; it is started again in ${Math.round(pauseMs / 100) / 10} s`}.`;
}
