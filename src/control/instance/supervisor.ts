/**
 * Watches every running unit for its end, and decides what comes then: stopped, removed (`--rm`), or started again with
 * a growing pause. One path for every form; what ended while no daemon was there comes in by adoption and goes the same way.
 */
import type { ExitRecord } from '../../drivers/runtime/driver.ts';
import { FREE_REBOOTS, MAX_BACKOFF_MS, WELL_AFTER_MS } from '../../lib/backoff.ts';
import { BerthError } from '../../model/errors.ts';
import type { Instance } from '../../model/instance-status.ts';
import { describe } from '../journal.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM } from '../services.ts';
import { failedStatus, idOf, runtimeOf, withStatus, type InstanceContext, type InstanceServices } from './context.ts';
import { removeEnded } from './delete.ts';
import { pauseBefore, type PauseRule } from './restart-pause.ts';
import { startInstance } from './start.ts';
import { tearDown } from './steps.ts';
import { watchBoot } from './watch-boot.ts';
import { stoppedStatus } from './stop.ts';

/** The end of an instance that could not be written, on a full disk, is written later. */
const WRITE_AGAIN_MS = 2_000;
const UP: ReadonlySet<string> = new Set(['running', 'paused', 'unsupervised', 'stopping']);

/** `withHost`: not an end of its own (host-shutdown.ts). */
type EndRecord = ExitRecord & { readonly withHost?: boolean | undefined };

interface Watch {
  readonly abort: AbortController;
  /** Resolves when the end was dealt with: torn down, and removed where that was wished. */
  readonly settled: Promise<ExitRecord | undefined>;
  over: boolean;
}

export class Supervisor implements AsyncDisposable {
  #services!: InstanceServices;
  readonly #watches = new Map<string, Watch>();
  readonly #timers = new Map<string, () => void>();
  readonly #pauseBefore: PauseRule;
  #closed = false;

  constructor(pause: PauseRule = pauseBefore) {
    this.#pauseBefore = pause;
  }

  /** The services name their supervisor: it gets them right after it was made. */
  bind(services: InstanceServices): void {
    this.#services = services;
  }

  watch(instance: Instance): void {
    const { id } = instance.meta;
    if (this.#closed || this.#watches.get(id)?.over === false) return;
    const { clock, log } = this.#services;
    // On the monotonic clock: whoever sets the time of day must not make a crash loop look well.
    const ranBeforeMs = Math.min(WELL_AFTER_MS, Math.max(0, clock.nowMs() - Date.parse(instance.status.startedAt ?? '') || 0));
    const sinceMs = clock.monotonicMs() - ranBeforeMs;
    const abort = new AbortController();
    const settled = runtimeOf(this.#services, instance).waitExit(idOf(instance), abort.signal, () => void this.#unsupervised(id)).then(
      async (exit) => {
        await this.#ended(instance, exit, clock.monotonicMs() - sinceMs);
        return exit;
      },
      (error: unknown) => {
        if (!abort.signal.aborted) log.error({ instance: instance.meta.name, error: describe(error) }, 'waiting for the end of an instance failed');
        return undefined;
      },
    ).finally(() => {
      watch.over = true;
      if (this.#watches.get(id) === watch) this.#watches.delete(id);
    });
    const watch: Watch = { abort, settled, over: false };
    this.#watches.set(id, watch);
    if (instance.status.health === 'unknown') void watchBoot(this.#services, instance, () => this.#closed || watch.over);
  }

  /** Resolves when the end of the unit that runs now was dealt with. */
  async settled(id: string): Promise<ExitRecord | undefined> {
    return this.#watches.get(id)?.settled;
  }

  cancelRestart(id: string): void {
    this.#timers.get(id)?.();
    this.#timers.delete(id);
  }

  /** Its monitor is gone and it lives: people are told, for no exit code will come. */
  async #unsupervised(id: string): Promise<void> {
    const { registry, locks, journal, log } = this.#services;
    const running = () => {
      const instance = registry.byId<Instance>(id);
      return !this.#closed && instance?.status.state === 'running' ? instance : undefined;
    };
    if (running() === undefined) return;
    await locks.hold(id, 'instance.exit', async () => {
      const instance = running();
      if (instance === undefined) return;
      const { monitorPid: _gone, ...status } = instance.status;
      const transaction = new Transaction();
      transaction.put({ ...instance, status: { ...status, state: 'unsupervised' } }, instance.meta.revision);
      journal.records.event(transaction, 'instance.unsupervised', targetOf(instance), `The monitor of '${instance.meta.name}' is gone; it runs on, and nobody will see its exit code.`, 'warning');
      await registry.commit(transaction);
    }).catch((error: unknown) => { log.error({ id, error: describe(error) }, 'a lost monitor could not be written down'); });
  }

  async #ended(seen: Instance, exit: ExitRecord, ranMs: number): Promise<void> {
    const services = this.#services;
    try {
      await services.locks.hold(seen.meta.id, 'instance.exit', async () => {
        const instance = services.registry.byId<Instance>(seen.meta.id);
        if (this.#closed || instance === undefined || !UP.has(instance.status.state) || instance.status.pid !== seen.status.pid || instance.status.startedAt !== seen.status.startedAt) return;
        await this.settleEnd(instance, exit, ranMs);
      });
    } catch (error) {
      services.log.error({ instance: seen.meta.name, error: describe(error) }, 'the end of an instance could not be written down; it is tried again');
      if (!this.#closed) services.clock.after(WRITE_AGAIN_MS, () => void this.#ended(seen, exit, ranMs));
    }
  }

  /** The caller holds the lock. `ranMs`: how long it ran. */
  async settleEnd(instance: Instance, exit: EndRecord, ranMs: number): Promise<void> {
    const context: InstanceContext = { services: this.#services, instance };
    try {
      for (const step of tearDown) await step.run(context);
      if (instance.spec.removeOnExit === true && exit.reason !== 'reboot') await removeEnded(this.#services, instance);
      else await this.#writeEnd(instance, exit, ranMs);
    } catch (error) {
      // The store has no room: nothing else can be written either, and nothing is wrong with the instance.
      if (error instanceof BerthError && error.code === 'exhausted') throw error;
      await this.#failed(context.instance, error);
    }
  }

  async #writeEnd(instance: Instance, exit: EndRecord, ranMs: number): Promise<void> {
    const services = this.#services;
    const transaction = new Transaction();
    const { restarts, reboots = 0 } = ranMs >= WELL_AFTER_MS ? { restarts: 0 } : instance.status;
    const stopped = stoppedStatus(services, withStatus(instance, { restarts, reboots: reboots + (exit.reason === 'reboot' && exit.withHost !== true ? 1 : 0) }), exit, false);
    const pauseMs = this.#pauseBefore(stopped, exit.exitCode !== 0, exit.reason);
    const next = pauseMs === undefined ? stopped : this.#inBackoff(stopped, pauseMs);
    transaction.put(next);
    services.journal.records.event(transaction, exit.reason === 'oom' ? 'instance.oom' : 'instance.exited', targetOf(instance), sentence(next, exit, pauseMs), exit.exitCode === 0 && !loops(next, exit) ? 'info' : 'warning', { exitCode: exit.exitCode, reason: exit.reason });
    await services.registry.commit(transaction);
    if (pauseMs !== undefined) this.scheduleRestart(next, pauseMs);
  }

  /** It ended and could not be taken down: a state of its own, which start and delete get on with. */
  async #failed(instance: Instance, error: unknown): Promise<void> {
    const services = this.#services;
    services.log.error({ instance: instance.meta.name, error: describe(error) }, 'an instance that ended could not be taken down');
    const transaction = new Transaction();
    transaction.put(failedStatus(instance, error));
    services.journal.records.event(transaction, 'instance.failed', targetOf(instance), `'${instance.meta.name}' ended and could not be taken down.`, 'error');
    await services.registry.commit(transaction);
  }

  #inBackoff(instance: Instance, pauseMs: number): Instance {
    return withStatus(instance, { state: 'backoff', retryAt: new Date(this.#services.clock.nowMs() + pauseMs).toISOString() });
  }

  /** A start by policy failed: it is tried again later, where the policy says so. */
  orBackoff(failed: Instance): Instance {
    const pauseMs = this.#pauseBefore(failed, true);
    return pauseMs === undefined ? failed : this.#inBackoff(failed, pauseMs);
  }

  /** What is in back-off is started when its time comes; never later than the longest pause, whatever the clock says. */
  resumeRestart(instance: Instance): void {
    const leftMs = Date.parse(instance.status.retryAt ?? '') - this.#services.clock.nowMs();
    this.scheduleRestart(instance, Math.min(MAX_BACKOFF_MS, Math.max(0, leftMs || 0)));
  }

  scheduleRestart(instance: Instance, pauseMs: number): void {
    const { id } = instance.meta;
    this.cancelRestart(id);
    if (this.#closed) return;
    this.#timers.set(id, this.#services.clock.after(pauseMs, () => {
      this.#timers.delete(id);
      const current = this.#services.registry.byId<Instance>(id);
      if (this.#closed || current === undefined || current.status.state !== 'backoff') return;
      // A reboot is no failure: it does not count.
      const restarts = current.status.restarts + (current.status.reason === 'reboot' ? 0 : 1);
      startInstance(this.#services, SYSTEM, current, { restarts }).catch((error: unknown) => {
        this.#services.log.warn({ instance: current.meta.name, error: String(error) }, 'a restart did not begin');
      });
    }));
  }

  /** After a stop: `--rm` means that nothing of it stays. */
  async removeIfWished(id: string): Promise<void> {
    const services = this.#services;
    await services.locks.hold(id, 'instance.exit', async () => {
      const instance = services.registry.byId<Instance>(id);
      if (this.#closed || instance?.spec.removeOnExit !== true || instance.status.state !== 'stopped') return;
      await removeEnded(services, instance).catch((error: unknown) => this.#failed(instance, error));
    }).catch((error: unknown) => services.log.error({ id, error: describe(error) }, 'an instance that ended could not be removed; the next daemon does it'));
  }

  /** From now on nothing is started again, and no end is dealt with but by who asks for it. */
  retire(): void {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.retire();
    for (const watch of this.#watches.values()) watch.abort.abort();
    await Promise.allSettled([...this.#watches.values()].map((watch) => watch.settled));
  }
}

function loops({ status }: Instance, exit: EndRecord): boolean {
  return exit.reason === 'reboot' && exit.withHost !== true && (status.reboots ?? 0) > FREE_REBOOTS;
}

function sentence(instance: Instance, exit: EndRecord, pauseMs: number | undefined): string {
  if (exit.withHost === true) return `'${instance.meta.name}' went down with its host${pauseMs === undefined ? '' : ', and comes back with it'}.`;
  const soon = pauseMs === undefined ? '' : `; it is started again in ${Math.round(pauseMs / 100) / 10} s`;
  if (loops(instance, exit)) return `'${instance.meta.name}' rebooted for the ${instance.status.reboots}th time in a row, each time within ${WELL_AFTER_MS / 1000} s of its start${soon}.`;
  if (exit.reason === 'reboot' && pauseMs !== undefined) return `'${instance.meta.name}' reboots.`;
  if (exit.reason === 'poweroff') return `'${instance.meta.name}' powered itself off.`;
  const how = exit.reason === 'oom' ? 'ran out of memory and was killed' : exit.reason === 'panic' ? 'ended: its kernel panicked' : exit.exitCode === undefined ? 'ended; nobody saw its exit code' : `ended with exit code ${exit.exitCode}`;
  return `'${instance.meta.name}' ${how}${soon}.`;
}
