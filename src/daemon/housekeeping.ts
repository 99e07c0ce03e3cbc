/** What is done now and then: logs rotated, networks compared with what they should be, old revisions forgotten, content without an owner swept. */
import { sweepContent } from '../control/image/sweep.ts';
import { idOf, runtimeOf, type InstanceServices } from '../control/instance/context.ts';
import { describe } from '../control/journal.ts';
import { Transaction } from '../control/registry.ts';
import type { Instance } from '../model/instance-status.ts';

const LOGS_EVERY_MS = 1000;
const NETWORKS_EVERY_MS = 5000;
const STORE_EVERY_MS = 60_000;
/** What a pull or an import left that was given up. */
const CONTENT_EVERY_MS = 3_600_000;
const KEPT_REVISIONS = 10_000;

export function keepHouse(services: InstanceServices): AsyncDisposable {
  let closed = false;
  const cancels = new Set<() => void>();
  const running = new Set<Promise<void>>();

  function every(periodMs: number, what: string, work: () => Promise<void>): void {
    const cancel = services.clock.after(periodMs, () => {
      cancels.delete(cancel);
      const done = work()
        .catch((error: unknown) => services.log.error({ what, error: describe(error) }, 'housekeeping failed'))
        .finally(() => {
          running.delete(done);
          if (!closed) every(periodMs, what, work);
        });
      running.add(done);
    });
    cancels.add(cancel);
  }

  every(LOGS_EVERY_MS, 'logs', async () => {
    for (const instance of services.registry.list<Instance>('Instance')) {
      if (instance.status.state === 'running') await runtimeOf(services, instance).rotateLog(idOf(instance));
    }
  });
  every(NETWORKS_EVERY_MS, 'networks', async () => {
    const repaired = await services.network.reconcile();
    if (repaired.length === 0) return;
    const transaction = new Transaction();
    for (const sentence of repaired) services.journal.records.event(transaction, 'network.repaired', { kind: 'Node', project: '', name: services.nodeName, id: services.nodeName }, sentence, 'warning');
    await services.registry.commit(transaction);
  });
  every(STORE_EVERY_MS, 'store', async () => {
    const revision = services.registry.revision - KEPT_REVISIONS;
    if (revision > 0) await services.registry.store.compact(revision);
  });

  every(CONTENT_EVERY_MS, 'content', async () => { await sweepContent(services); });

  return {
    async [Symbol.asyncDispose]() {
      closed = true;
      for (const cancel of cancels) cancel();
      await Promise.all(running);
    },
  };
}
