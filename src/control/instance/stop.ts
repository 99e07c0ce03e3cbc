/** instance.stop: asks, waits, kills; then everything but the disk and the log goes. */
import type { ExitRecord } from '../../drivers/runtime/driver.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Operation } from '../../model/operation.ts';
import { targetOf } from '../records.ts';
import type { Caller } from '../services.ts';
import { failedStatus, withoutProcess, withStatus, type InstanceServices } from './context.ts';
import type { EndContext } from './end.ts';
import { locked } from './locked.ts';
import { STOP } from './step-lists.ts';

export interface StopOptions {
  readonly graceMs?: number | undefined;
}

export function stopInstance(services: InstanceServices, caller: Caller, instance: Instance, options: StopOptions = {}): Promise<{ readonly operation: Operation; readonly done: Promise<Operation> }> {
  return locked(services, instance, 'stop', async (current, release) => {
    services.supervisor.cancelRestart(current.meta.id);
    const { journal } = services;
    const wished = { ...current, spec: { ...current.spec, running: false }, meta: { ...current.meta, generation: current.meta.generation + 1 } };
    const before = withStatus(wished, { state: 'stopping', stoppedByUser: true });
    const context: EndContext = { services, instance: before, graceMs: options.graceMs };
    const { operation, done } = await journal.begin({
      list: STOP, target: targetOf(current), caller, context, ...(options.graceMs === undefined ? {} : { arguments: { graceMs: options.graceMs } }),
      intent: (transaction, name) => { transaction.put(withStatus(before, { operation: name }), current.meta.revision); },
      outcome(transaction) {
        transaction.put(stoppedStatus(services, before, context.exit ?? lastExit(current), true));
        journal.records.event(transaction, 'instance.stopped', targetOf(current), `'${current.meta.name}' was stopped${context.exit?.exitCode === undefined ? '' : ` with exit code ${context.exit.exitCode}`}.`);
      },
      failure: (transaction, error) => { transaction.put(failedStatus(context.instance, error)); },
    });
    return {
      operation,
      done: done.finally(release).then(async (finished) => {
        if (finished.status.state === 'succeeded') await services.supervisor.removeIfWished(current.meta.id);
        return finished;
      }),
    };
  });
}

/** Between two runs nothing ends: how the last one ended stays. */
function lastExit({ status }: Instance): ExitRecord | undefined {
  if (status.state !== 'backoff' || status.finishedAt === undefined) return undefined;
  return { exitCode: status.exitCode, reason: status.reason ?? 'unknown', finishedAtMs: Date.parse(status.finishedAt) };
}

/** The object of an instance whose unit ended. */
export function stoppedStatus(services: InstanceServices, instance: Instance, exit: ExitRecord | undefined, byUser: boolean): Instance {
  return withoutProcess(instance, {
    state: 'stopped', observedGeneration: instance.meta.generation, exitCode: exit?.exitCode, reason: exit?.reason ?? 'unknown',
    finishedAt: new Date(exit?.finishedAtMs ?? services.clock.nowMs()).toISOString(), ...(byUser ? { stoppedByUser: true } : {}),
  });
}
