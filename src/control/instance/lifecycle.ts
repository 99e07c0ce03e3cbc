/** The verbs that are over at once: kill, pause, resume, resize, rename. */
import { BerthError } from '../../model/errors.ts';
import { assertName, objectId } from '../../model/ids.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { TerminalSize } from '../../drivers/runtime/driver.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import type { Caller } from '../services.ts';
import { idOf, runtimeOf, withStatus, type InstanceServices } from './context.ts';
import { assertVerb, locked } from './locked.ts';
import { signalName } from './process.ts';

/** Takes no lock: it must reach an instance that is being stopped. */
export async function killInstance(services: InstanceServices, caller: Caller, instance: Instance, signal = 'SIGKILL'): Promise<Instance> {
  const name = signalName(signal);
  assertVerb(instance, 'kill');
  await services.journal.records.audited(caller, 'instance.kill', targetOf(instance), { signal: name }, async () => {
    const runtime = runtimeOf(services, instance);
    if (instance.status.state === 'paused' && name === 'SIGKILL') await runtime.resume(idOf(instance));
    await runtime.signal(idOf(instance), name);
  });
  return services.registry.byId<Instance>(instance.meta.id) ?? instance;
}

export function pauseInstance(services: InstanceServices, caller: Caller, instance: Instance): Promise<Instance> {
  return freeze(services, caller, instance, 'pause');
}

export function resumeInstance(services: InstanceServices, caller: Caller, instance: Instance): Promise<Instance> {
  return freeze(services, caller, instance, 'resume');
}

function freeze(services: InstanceServices, caller: Caller, instance: Instance, verb: 'pause' | 'resume'): Promise<Instance> {
  return locked(services, instance, verb, async (current, release) => {
    await services.journal.records.audited(caller, `instance.${verb}`, targetOf(current), undefined, () => runtimeOf(services, current)[verb](idOf(current)));
    const changed = await write(services, withStatus(current, { state: verb === 'pause' ? 'paused' : 'running' }), `instance.${verb}d`, `'${current.meta.name}' was ${verb}d.`);
    release();
    return changed;
  });
}

async function write(services: InstanceServices, instance: Instance, type: string, message: string): Promise<Instance> {
  const transaction = new Transaction();
  transaction.put(instance, instance.meta.revision);
  services.journal.records.event(transaction, type, targetOf(instance), message);
  await services.registry.commit(transaction);
  return services.registry.byId<Instance>(instance.meta.id)!;
}

export async function resizeInstance(services: InstanceServices, caller: Caller, instance: Instance, size: TerminalSize): Promise<void> {
  assertVerb(instance, 'attach');
  await services.journal.records.audited(caller, 'instance.resize', targetOf(instance), undefined, () => runtimeOf(services, instance).resize(idOf(instance), size));
}

/** The new name counts at once for DNS; the host name inside follows with the next start. */
export async function renameInstance(services: InstanceServices, caller: Caller, instance: Instance, newName: string): Promise<Instance> {
  assertName(newName);
  return locked(services, instance, 'rename', async (current, release) => {
    if (newName === current.meta.name) throw new BerthError('invalid', `It is called '${newName}' already.`);
    const transaction = new Transaction();
    const renamed = { ...current, meta: { ...current.meta, name: newName, generation: current.meta.generation + 1 } };
    const audit = services.journal.records.intent(transaction, caller, 'instance.rename', targetOf(current), { newName });
    services.journal.records.outcome(transaction, audit, 'ok');
    transaction.delete(current).put(renamed, 'absent');
    services.journal.records.event(transaction, 'instance.renamed', targetOf(renamed), `'${current.meta.name}' is now called '${newName}'.`);
    await services.registry.commit(transaction);
    if (current.status.state === 'running') {
      for (const port of current.status.ports) await services.network.setNames(objectId(port.networkId), idOf(current), [{ name: newName, addresses: [port.ipv4, port.ipv6] }]);
    }
    release();
    return services.registry.byId<Instance>(current.meta.id)!;
  });
}
