/**
 * What a daemon does with what an earlier one left: first the ids and ports of all that may run are held, then the
 * journal (finish or undo), then every instance is looked at and taken over as it is found. A restart of the daemon
 * never stops an instance.
 */
import { asBerthError } from '../../model/errors.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Operation } from '../../model/operation.ts';
import type { ExitRecord, Observed } from '../../drivers/runtime/driver.ts';
import { describe, type Job, type StepList } from '../journal.ts';
import { planOfPorts, publishedPorts } from '../network/ports.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM } from '../services.ts';
import { failedStatus, idOf, processStatus, rangeOf, runtimeOf, withoutProcess, withStatus, type InstanceContext, type InstanceServices } from './context.ts';
import { releaseAll } from './create.ts';
import type { EndContext } from './end.ts';
import { endedWithHost } from './host-shutdown.ts';
import { CREATE, CREATE_AND_START, DELETE, START, STOP, UPDATE } from './step-lists.ts';
import { announce } from './steps.ts';
import { stoppedStatus } from './stop.ts';

/** `rebooted`: the host went down since the last daemon was there; what ran is started again, as it was wished. */
export async function adoptInstances(services: InstanceServices, rebooted = false): Promise<void> {
  const instances = () => services.registry.list<Instance>('Instance');
  for (const instance of instances()) await guarded(services, instance, () => holdRange(services, instance));
  for (const operation of services.journal.unfinished()) {
    if (operation.spec.target.kind === 'Instance') await recoverOperation(services, operation);
  }
  for (const instance of instances()) await guarded(services, instance, () => adopt(services, instance, rebooted));
  // Last: nothing is started while others are still being found.
  for (const instance of instances()) if (instance.status.state === 'backoff') services.supervisor.resumeRestart(instance);
}

async function guarded(services: InstanceServices, instance: Instance, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    services.log.error({ instance: instance.meta.name, error: describe(error) }, 'an instance could not be taken over');
    const now = services.registry.byId<Instance>(instance.meta.id);
    // A store that has no room for this either is no reason not to start.
    if (now !== undefined) await put(services, failedStatus(now, asBerthError(error, `take over '${instance.meta.name}'`)), 'instance.failed', `'${instance.meta.name}' could not be taken over.`, 'error').catch((cause: unknown) => { services.log.error({ instance: now.meta.name, error: describe(cause) }, 'that an instance failed could not be written down'); });
  }
}

/** Nobody else may get the ids of what may run, not even while the journal is at work. */
async function holdRange(services: InstanceServices, instance: Instance): Promise<void> {
  const { state } = instance.status;
  if (state === 'stopped' || state === 'backoff' || (state === 'failed' && instance.status.uidMap === undefined)) return;
  const observed = await runtimeOf(services, instance).observe(idOf(instance));
  const uidMap = 'info' in observed ? (observed.info.idRange ?? instance.status.uidMap) : instance.status.uidMap;
  if (uidMap === undefined) return;
  await services.network.adopt({ idBase: uidMap.base, idCount: uidMap.count }, planOfPorts(instance));
  if (instance.status.uidMap?.base === uidMap.base) return;
  const transaction = new Transaction();
  transaction.put(withStatus(instance, { uidMap }));
  await services.registry.commit(transaction);
}

/** The operation's own job, rebuilt from what the journal kept. */
async function recoverOperation(services: InstanceServices, operation: Operation): Promise<void> {
  const { registry, journal, supervisor } = services;
  const instance = registry.byId<Instance>(operation.spec.target.id);
  if (instance === undefined) {
    services.log.warn({ operation: operation.meta.name }, 'an unfinished operation speaks of an instance that is not there');
    const transaction = new Transaction();
    transaction.delete(operation);
    await registry.commit(transaction);
    return;
  }
  const { operation: _held, ...status } = instance.status;
  const free: Instance = { ...instance, status };
  const context: EndContext = { services, instance: free, graceMs: operation.spec.arguments?.['graceMs'] as number | undefined };
  const base = { target: targetOf(instance), caller: SYSTEM, context, intent: () => undefined };
  const failed: Job<InstanceContext>['failure'] = (transaction, error) => { transaction.put(failedStatus(context.instance, error)); };
  switch (operation.spec.verb) {
    case 'instance.create':
      await journal.recover(operation, {
        ...base, list: operation.spec.steps.length > CREATE.steps.length ? CREATE_AND_START : CREATE, outcome: () => undefined,
        failure: (transaction) => { transaction.delete(instance); releaseAll(transaction, instance); },
      });
      return;
    case 'instance.start': {
      const observed = await runtimeOf(services, free).observe(idOf(free));
      await journal.recover(operation, observed.state === 'running' ? startedJob(base, observed) : {
        ...base, list: START, outcome: () => undefined,
        // A restart by policy is tried again, whoever was in its way; one that a person asked for is theirs to repeat.
        failure(transaction, error) {
          const ended = failedStatus(context.instance, error);
          transaction.put(operation.spec.actor === SYSTEM.actor ? supervisor.orBackoff(ended) : ended);
        },
      });
      return;
    }
    case 'instance.stop': {
      // Its grace may be long, and the daemon serves others meanwhile.
      const release = await services.locks.acquire(instance.meta.id, 'instance.stop');
      const job: Job<InstanceContext> = { ...base, list: STOP, outcome: (transaction) => { transaction.put(stoppedStatus(services, context.instance, context.exit, true)); }, failure: failed };
      void journal.recover(operation, job).finally(release).then(() => supervisor.removeIfWished(instance.meta.id));
      return;
    }
    case 'instance.update':
      await journal.recover(operation, { ...base, list: UPDATE, outcome: () => undefined, failure: (transaction) => { transaction.put(free); } });
      return;
    case 'instance.delete':
      await journal.recover(operation, { ...base, list: DELETE, outcome: (transaction) => { transaction.delete(instance); releaseAll(transaction, instance); }, failure: failed });
      return;
    default:
  }
}

/** A start that got as far as a running unit is over, not taken back. */
function startedJob(base: Pick<Job<InstanceContext>, 'target' | 'caller' | 'context' | 'intent'>, observed: Extract<Observed, { state: 'running' | 'paused' }>): Job<InstanceContext> {
  const { services, instance } = base.context;
  const list: StepList<InstanceContext> = { verb: 'instance.start', steps: [], onCrash: 'finish' };
  const running = withoutProcess(instance, { state: 'running', observedGeneration: instance.meta.generation, startedAt: new Date(services.clock.nowMs()).toISOString(), ...processStatus(observed.info) });
  return { ...base, list, outcome: (transaction) => { transaction.put(running); }, failure: (transaction, error) => { transaction.put(failedStatus(instance, error)); } };
}

async function put(services: InstanceServices, instance: Instance, type: string, message: string, severity: 'info' | 'warning' | 'error' = 'info'): Promise<Instance> {
  const transaction = new Transaction();
  transaction.put(instance);
  services.journal.records.event(transaction, type, targetOf(instance), message, severity);
  await services.registry.commit(transaction);
  return services.registry.byId<Instance>(instance.meta.id)!;
}

const UNSEEN: ExitRecord = { exitCode: undefined, reason: 'unknown', finishedAtMs: 0 };

async function adopt(services: InstanceServices, instance: Instance, rebooted: boolean): Promise<void> {
  const { state } = instance.status;
  // The journal is at work on it.
  if (services.locks.holder(instance.meta.id) !== undefined) return;
  if (state === 'stopped') return services.supervisor.removeIfWished(instance.meta.id);
  if (state === 'backoff' || state === 'failed') return;
  const observed = await runtimeOf(services, instance).observe(idOf(instance));
  if (observed.state === 'exited' || observed.state === 'absent' || observed.state === 'created') {
    const exit = observed.state === 'exited' ? observed.exit : { ...UNSEEN, finishedAtMs: services.clock.nowMs() };
    if (rebooted && (exit.reason === 'unknown' || exit.reason === 'killed')) {
      await services.locks.hold(instance.meta.id, 'instance.exit', () => services.supervisor.settleEnd(instance, endedWithHost(instance, exit), 0));
      return;
    }
    const ranMs = exit.finishedAtMs - Date.parse(instance.status.startedAt ?? '') || 0;
    await services.locks.hold(instance.meta.id, 'instance.exit', () => services.supervisor.settleEnd(instance, exit, ranMs));
    return;
  }
  await services.network.adopt(rangeOf(instance), planOfPorts(instance));
  if (instance.status.published.length > 0) await services.network.publish(idOf(instance), publishedPorts(instance.status.published, instance.status.ports[0]!));
  await announce.run({ services, instance });
  const adopted = await put(services, withStatus(instance, { state: observed.state, ...processStatus(observed.info) }), 'instance.adopted', `'${instance.meta.name}' was found ${observed.state} and taken over.`, observed.state === 'unsupervised' ? 'warning' : 'info');
  services.supervisor.watch(adopted);
}
