/** instance.start. */
import { FORM_LABEL } from '../../model/forms.ts';
import { bootsItself, type Instance } from '../../model/instance-status.ts';
import type { Operation } from '../../model/operation.ts';
import type { Volume } from '../../model/volume.ts';
import { BerthError } from '../../model/errors.ts';
import { timestamp } from '../clock.ts';
import { targetOf } from '../records.ts';
import { SYSTEM, type Caller } from '../services.ts';
import { untilUnchanged } from '../until-unchanged.ts';
import { closeUnused, failedStatus, processStatus, withoutProcess, withStatus, type InstanceContext, type InstanceServices } from './context.ts';
import { takeDisks } from './disk-holders.ts';
import { locked } from './locked.ts';
import { START } from './step-lists.ts';

export interface StartOptions {
  readonly beforeWorkload?: (instance: Instance) => Promise<void>;
  /** A restart by policy keeps the counts of restarts and reboots; a start by anybody else begins them anew. */
  readonly restarts?: number;
}

export function startInstance(services: InstanceServices, caller: Caller, instance: Instance, options: StartOptions = {}): Promise<{ readonly operation: Operation; readonly done: Promise<Operation> }> {
  return locked(services, instance, 'start', async (current, release) => {
    if (options.restarts !== undefined && current.status.state !== 'backoff') throw new BerthError('wrongState', `'${current.meta.name}' is ${current.status.state}: it is not restarted by its policy.`);
    services.supervisor.cancelRestart(current.meta.id);
    const { journal } = services;
    const restarts = options.restarts ?? 0;
    const wished = current.spec.running === true ? current : { ...current, spec: { ...current.spec, running: true }, meta: { ...current.meta, generation: current.meta.generation + 1 } };
    const context: InstanceContext = { services, instance: withoutProcess(wished, { state: 'starting', restarts, ...(options.restarts === undefined ? { reboots: 0 } : {}) }), sandbox: services.pool.unpark(current.meta.id), leftovers: current.status.state === 'failed', ...(options.beforeWorkload === undefined ? {} : { beforeWorkload: options.beforeWorkload }) };
    const before = context.instance;
    const begin = (disks: readonly Volume[]) => journal.begin({
      list: START, target: targetOf(current), caller, context,
      intent(transaction, name) {
        transaction.put(withStatus(before, { operation: name }), current.meta.revision);
        for (const disk of disks) transaction.put(disk, disk.meta.revision);
      },
      outcome(transaction) {
        const running = runningStatus(services, context);
        transaction.put(running);
        journal.records.event(transaction, 'instance.started', targetOf(running), `${FORM_LABEL[running.status.form]} '${running.meta.name}' was started.`);
      },
      failure(transaction, error) {
        const failed = failedStatus(withStatus(before, { uidMap: context.instance.status.uidMap }), error);
        transaction.put(caller === SYSTEM ? services.supervisor.orBackoff(failed) : failed);
        journal.records.event(transaction, 'instance.failed', targetOf(current), `'${current.meta.name}' could not be started: ${error.message}`, 'error');
      },
    });
    const { operation, done } = await untilUnchanged(async () => begin(takeDisks(services, before))).catch(async (error: unknown) => {
      await closeUnused(context);
      throw error;
    });
    return {
      operation,
      // All of it before the lock is let go: whoever waits for it finds the end watched.
      done: done.then(async (finished) => {
        const now = services.registry.byId<Instance>(current.meta.id);
        if (finished.status.state !== 'succeeded') await closeUnused(context);
        if (now?.status.state === 'running') services.supervisor.watch(now);
        if (now?.status.state === 'backoff') services.supervisor.resumeRestart(now);
        return finished;
      }).finally(release),
    };
  });
}

/** The object of a unit that runs. */
export function runningStatus(services: InstanceServices, context: InstanceContext): Instance {
  const { info, instance } = context;
  if (info === undefined) throw new TypeError('the unit was not made');
  const { operation: _operation, exitCode: _code, reason: _reason, finishedAt: _finished, stoppedByUser: _stopped, error: _error, warnings: _warnings, ...kept } = instance.status;
  return {
    ...instance,
    status: {
      ...kept, state: 'running', observedGeneration: instance.meta.generation, startedAt: timestamp(services.clock), ...processStatus(info),
      ...(kept.mode === 'os' && !bootsItself(instance) ? { health: 'unknown' as const } : {}),
    },
  };
}
