/** instance.delete. `--force` works in every state: it kills what runs. */
import type { Instance } from '../../model/instance-status.ts';
import type { Started } from '../journal.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM, type Caller } from '../services.ts';
import { failedStatus, withStatus, type InstanceContext, type InstanceServices } from './context.ts';
import { releaseAll } from './create.ts';
import { killInstance } from './lifecycle.ts';
import { locked } from './locked.ts';
import { DELETE } from './step-lists.ts';
import { removeRest } from './steps.ts';

export async function deleteInstance(services: InstanceServices, caller: Caller, instance: Instance, force: boolean): Promise<Started> {
  // A stop that waits out its grace ends with the kill, and lets go.
  if (force && services.registry.byId<Instance>(instance.meta.id)?.status.state === 'stopping') {
    await killInstance(services, caller, services.registry.byId<Instance>(instance.meta.id)!).catch((error: { code?: string }) => {
      if (error.code !== 'wrongState' && error.code !== 'notFound') throw error;
    });
  }
  return locked(services, instance, force ? 'forceDelete' : 'delete', async (current, release) => {
    services.supervisor.cancelRestart(current.meta.id);
    await services.pool.discard(current.meta.id);
    const { journal } = services;
    const before = withStatus(current, { state: 'deleting' });
    const context: InstanceContext = { services, instance: before };
    const { operation, done } = await journal.begin({
      list: DELETE, target: targetOf(current), caller, context, auditDetails: { force },
      intent: (transaction, name) => { transaction.put(withStatus(before, { operation: name }), current.meta.revision); },
      outcome: (transaction) => { recordRemoval(services, transaction, before, 'was deleted'); },
      failure: (transaction, error) => { transaction.put(failedStatus(context.instance, error)); },
    });
    return { operation, done: done.finally(release) };
  });
}

function recordRemoval(services: InstanceServices, transaction: Transaction, instance: Instance, how: string): void {
  transaction.delete(instance);
  releaseAll(transaction, instance);
  services.journal.records.event(transaction, 'instance.deleted', targetOf(instance), `'${instance.meta.name}' ${how}.`);
}

/**
 * `--rm`: its deletion was wished when it was made, and that intent is durable since then; here is only the effect and
 * one commit. A daemon that dies in between finds an ended instance that wishes to be removed, and goes on. The caller
 * holds the lock and has taken down the unit.
 */
export async function removeEnded(services: InstanceServices, instance: Instance): Promise<void> {
  const context: InstanceContext = { services, instance };
  for (const step of removeRest) await step.run(context);
  const transaction = new Transaction();
  const audit = services.journal.records.intent(transaction, SYSTEM, 'instance.delete', targetOf(instance), { removeOnExit: true });
  services.journal.records.outcome(transaction, audit, 'ok');
  recordRemoval(services, transaction, instance, 'ended and was removed, as wished');
  await services.registry.commit(transaction);
}
