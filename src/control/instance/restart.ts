/** instance.restart: a stop and a start, with an audit record of its own around theirs. */
import { BerthError } from '../../model/errors.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Started } from '../journal.ts';
import { targetOf } from '../records.ts';
import type { Caller } from '../services.ts';
import type { InstanceServices } from './context.ts';
import { assertVerb } from './locked.ts';
import { startInstance } from './start.ts';
import { stopInstance, type StopOptions } from './stop.ts';

/** The operation is the one of the start. */
export async function restartInstance(services: InstanceServices, caller: Caller, instance: Instance, options: StopOptions = {}): Promise<Started> {
  assertVerb(instance, 'restart');
  if (instance.spec.removeOnExit === true) throw new BerthError('unsupported', `'${instance.meta.name}' is removed when it ends: it cannot be restarted.`);
  return services.journal.records.audited(caller, 'instance.restart', targetOf(instance), options.graceMs === undefined ? undefined : { graceMs: options.graceMs }, async () => {
    const { error } = (await (await stopInstance(services, caller, instance, options)).done).status;
    if (error !== undefined) throw new BerthError(error.code, error.message, { hint: error.hint });
    const stopped = services.registry.byId<Instance>(instance.meta.id);
    if (stopped === undefined) throw services.registry.notFound('Instance', instance.meta.project, instance.meta.name);
    return startInstance(services, caller, stopped);
  });
}
