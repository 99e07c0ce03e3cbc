/** Waits beside an OS instance that was started until its init has brought the system up, and writes down how it is. */
import { FORM_LABEL } from '../../model/forms.ts';
import type { Instance, InstanceStatus } from '../../model/instance-status.ts';
import { describe } from '../journal.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { idOf, runtimeOf, withStatus, type InstanceServices } from './context.ts';

/** systemd gives a unit 90 s; what is not up after this is not coming up. */
const BOOT_DEADLINE_MS = 180_000;

const OUTCOMES = {
  running: { health: 'healthy', type: 'instance.booted', severity: 'info', says: 'is up' },
  degraded: { health: 'unhealthy', type: 'instance.degraded', severity: 'warning', says: 'is up, but parts of it failed: `systemctl --failed` inside says which' },
  starting: { health: 'unhealthy', type: 'instance.degraded', severity: 'warning', says: `is not up after ${BOOT_DEADLINE_MS / 1000} s` },
} as const satisfies Record<string, { readonly health: NonNullable<InstanceStatus['health']>; readonly type: string; readonly severity: 'info' | 'warning'; readonly says: string }>;

/** Never throws. `over`: the instance ended, or this daemon does. */
export async function watchBoot(services: InstanceServices, instance: Instance, over: () => boolean): Promise<void> {
  const runtime = runtimeOf(services, instance);
  const { id } = instance.meta;
  try {
    if (runtime.booted === undefined) return;
    const outcome = OUTCOMES[await runtime.booted(idOf(instance), BOOT_DEADLINE_MS)];
    if (over()) return;
    await services.locks.hold(id, 'instance.booted', async () => {
      const now = services.registry.byId<Instance>(id);
      if (over() || now?.status.state !== 'running' || now.status.startedAt !== instance.status.startedAt) return;
      const transaction = new Transaction();
      transaction.put(withStatus(now, { health: outcome.health }), now.meta.revision);
      services.journal.records.event(transaction, outcome.type, targetOf(now), `${FORM_LABEL[now.status.form]} '${now.meta.name}' ${outcome.says}.`, outcome.severity);
      await services.registry.commit(transaction);
    });
  } catch (error) {
    if (!over()) services.log.warn({ instance: instance.meta.name, error: describe(error) }, 'whether a system is up could not be found out');
  }
}
