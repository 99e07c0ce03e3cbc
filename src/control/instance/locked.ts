/** Takes an instance's lock, reads it anew and asks the state table. The lock ends with the operation, not with the call. */
import { BerthError } from '../../model/errors.ts';
import { statesAllowing, verbAllowed, type Instance } from '../../model/instance-status.ts';
import type { InstanceServices } from './context.ts';

export const PATIENCE_MS = 30_000;

export function assertVerb(instance: Instance, verb: string): void {
  const { state } = instance.status;
  if (verbAllowed(state, verb)) return;
  const allowed = statesAllowing(verb);
  throw new BerthError('wrongState', `'${instance.meta.name}' is ${state}; ${verb} needs it to be ${allowed.join(' or ')}.`, { hint: hintFor(instance, verb), details: { state, allowed } });
}

function hintFor(instance: Instance, verb: string): string {
  const { name } = instance.meta;
  if (instance.status.state === 'paused' && verb !== 'delete') return `berth resume ${name} thaws it; berth kill ${name} ends it as it is.`;
  if (verb === 'delete') return `berth rm --force ${name} stops and deletes it.`;
  if ((verb === 'stop' && instance.status.state === 'stopped') || (verb === 'start' && instance.status.state === 'running')) return 'There is nothing to do.';
  if (instance.status.state === 'stopped' || instance.status.state === 'failed') return `berth start ${name}`;
  return `berth why ${name} says what it is doing.`;
}

/** `work` gets the function that lets go and must see to it that it is called; when it throws, the lock is let go. */
export async function locked<T>(services: InstanceServices, instance: Instance, verb: string, work: (current: Instance, release: () => void) => Promise<T>, patienceMs: number | undefined = PATIENCE_MS): Promise<T> {
  const release = await services.locks.acquire(instance.meta.id, `instance.${verb}`, patienceMs);
  try {
    const current = services.registry.byId<Instance>(instance.meta.id);
    if (current === undefined) throw services.registry.notFound('Instance', instance.meta.project, instance.meta.name);
    assertVerb(current, verb);
    return await work(current, release);
  } catch (error) {
    release();
    throw error;
  }
}
