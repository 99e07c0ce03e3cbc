/**
 * What a daemon does with what an earlier one left: first the journal (finish or undo), then every instance is looked at
 * and taken over as it is found. A restart of the daemon never stops an instance.
 */
import { asBerthError, errorBody } from '../../model/errors.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Operation } from '../../model/operation.ts';
import type { ExitRecord } from '../../drivers/runtime/driver.ts';
import { describe, type Job } from '../journal.ts';
import { planOfPort, publishedPorts } from '../network/ports.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM } from '../services.ts';
import { idOf, runtimeOf, withoutProcess, withStatus, type InstanceContext, type InstanceServices } from './context.ts';
import { releaseAll } from './create.ts';
import type { EndContext } from './end.ts';
import { startInstance } from './start.ts';
import { CREATE, CREATE_AND_START, DELETE, START, STOP } from './step-lists.ts';
import { announce } from './steps.ts';
import { stoppedStatus } from './stop.ts';

export async function adoptInstances(services: InstanceServices): Promise<void> {
  for (const operation of services.journal.unfinished()) {
    if (operation.spec.target.kind === 'Instance') await recoverOperation(services, operation);
  }
  for (const instance of services.registry.list<Instance>('Instance')) {
    try {
      await adopt(services, instance);
    } catch (error) {
      services.log.error({ instance: instance.meta.name, error: describe(error) }, 'an instance could not be taken over');
      await put(services, withStatus(instance, { state: 'failed', error: errorBody(asBerthError(error, `take over '${instance.meta.name}'`)) }), 'instance.failed', `'${instance.meta.name}' could not be taken over.`, 'error');
    }
  }
}

/** The operation's own job, rebuilt from what the journal kept. */
async function recoverOperation(services: InstanceServices, operation: Operation): Promise<void> {
  const { registry, journal } = services;
  const instance = registry.byId<Instance>(operation.spec.target.id);
  const { operation: _held, ...status } = instance?.status ?? {} as Instance['status'];
  if (instance === undefined) {
    services.log.warn({ operation: operation.meta.name }, 'an unfinished operation speaks of an instance that is not there');
    const transaction = new Transaction();
    transaction.delete(operation);
    await registry.commit(transaction);
    return;
  }
  const free: Instance = { ...instance, status };
  const context: EndContext = { services, instance: free };
  const base = { target: targetOf(instance), caller: SYSTEM, context, intent: () => undefined };
  const jobs: Record<string, () => Job<InstanceContext>> = {
    'instance.create': () => ({
      ...base, list: operation.spec.steps.length > CREATE.steps.length ? CREATE_AND_START : CREATE, outcome: () => undefined,
      failure: (transaction) => { transaction.delete(instance); releaseAll(transaction, instance); },
    }),
    'instance.start': () => ({
      ...base, list: START, outcome: () => undefined,
      failure: (transaction, error) => { transaction.put(withoutProcess(free, { state: 'failed', error: errorBody(error) })); },
    }),
    'instance.stop': () => ({
      ...base, list: STOP,
      outcome: (transaction) => { transaction.put(stoppedStatus(services, free, context.exit, true)); },
      failure: (transaction, error) => { transaction.put(withoutProcess(free, { state: 'failed', error: errorBody(error) })); },
    }),
    'instance.delete': () => ({
      ...base, list: DELETE,
      outcome: (transaction) => { transaction.delete(instance); releaseAll(transaction, instance); },
      failure: (transaction, error) => { transaction.put(withoutProcess(free, { state: 'failed', error: errorBody(error) })); },
    }),
  };
  const job = jobs[operation.spec.verb];
  if (job === undefined) return;
  if (operation.spec.verb === 'instance.start') {
    // A start that got as far as a running unit is finished, not taken back.
    const observed = await runtimeOf(services, free).observe(idOf(free));
    if (observed.state === 'running') {
      const running = { ...withoutProcess(free, { state: 'running', observedGeneration: free.meta.generation, startedAt: new Date(services.clock.nowMs()).toISOString(), pid: observed.info.process.pid, pidStartTicks: observed.info.process.startTicks, monitorPid: observed.info.monitor.pid, boundary: observed.info.boundary, ...(free.status.uidMap === undefined ? {} : { uidMap: free.status.uidMap }) }) } as Instance;
      const transaction = new Transaction();
      transaction.put(running);
      await registry.commit(transaction);
    }
  }
  await journal.recover(operation, job());
}

async function put(services: InstanceServices, instance: Instance, type: string, message: string, severity: 'info' | 'warning' | 'error' = 'info'): Promise<Instance> {
  const transaction = new Transaction();
  transaction.put(instance);
  services.journal.records.event(transaction, type, targetOf(instance), message, severity);
  await services.registry.commit(transaction);
  return services.registry.byId<Instance>(instance.meta.id)!;
}

const UNSEEN: ExitRecord = { exitCode: undefined, reason: 'unknown', finishedAtMs: 0 };

async function adopt(services: InstanceServices, instance: Instance): Promise<void> {
  const { state } = instance.status;
  if (state === 'backoff') {
    services.supervisor.scheduleRestart(instance, Math.max(0, Date.parse(instance.status.retryAt ?? '') - services.clock.nowMs()) || 0);
    return;
  }
  if (state === 'stopped' || state === 'failed') return;
  const observed = await runtimeOf(services, instance).observe(idOf(instance));
  if (observed.state === 'exited' || observed.state === 'absent' || observed.state === 'created') {
    const exit = observed.state === 'exited' ? observed.exit : { ...UNSEEN, finishedAtMs: services.clock.nowMs() };
    await services.locks.hold(instance.meta.id, 'instance.exit', () => services.supervisor.settleEnd(instance, exit));
    const ended = services.registry.byId<Instance>(instance.meta.id);
    const wanted = ended?.spec.running === true && ended.status.stoppedByUser !== true && observed.state === 'absent';
    // Nothing of it is left: the host was restarted. What was wished to run, with a policy that says so, runs again.
    if (wanted && ended.status.state === 'stopped' && ['always', 'unless-stopped'].includes(ended.spec.restart?.policy ?? 'no')) await startInstance(services, SYSTEM, ended);
    return;
  }
  const map = instance.status.uidMap;
  await services.network.adopt(map === undefined ? undefined : { idBase: map.base, idCount: map.count }, instance.status.ports.map(planOfPort));
  if (instance.status.published.length > 0) await services.network.publish(idOf(instance), publishedPorts(instance.status.published, instance.status.ports[0]!));
  await announce.run({ services, instance });
  const adopted = await put(services, withStatus(instance, { state: observed.state, pid: observed.info.process.pid, pidStartTicks: observed.info.process.startTicks, monitorPid: observed.info.monitor.pid }), 'instance.adopted', `'${instance.meta.name}' was found ${observed.state} and taken over.`, observed.state === 'unsupervised' ? 'warning' : 'info');
  services.supervisor.watch(adopted);
}
