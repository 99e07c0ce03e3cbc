/**
 * The host goes down, or went down: what runs ends with it and comes back with it, unless it is never to be started again.
 * That is no failure and does not count. What is removed when it ends is removed.
 */
import type { ExitRecord } from '../../drivers/runtime/driver.ts';
import type { Instance } from '../../model/instance-status.ts';
import { describe } from '../journal.ts';
import type { InstanceServices } from './context.ts';
import { endWorkload, type EndContext } from './end.ts';
import { restartPolicy } from './restart-policy.ts';

const UP: ReadonlySet<string> = new Set(['running', 'paused', 'unsupervised']);

/** How it is told from an end of its own. */
export interface HostEnd extends ExitRecord {
  readonly withHost: true;
}

export function endedWithHost(instance: Instance, exit: ExitRecord): HostEnd {
  const comesBack = instance.spec.removeOnExit !== true && restartPolicy(instance).policy !== 'no';
  return { ...exit, reason: comesBack ? 'reboot' : exit.reason, withHost: true };
}

/**
 * Asks everything to end, at once and with its own grace period, and writes down that it is to come back: a database is
 * not to find out from a power cut that its host was rebooted in good order. For the last moments of a daemon.
 */
export async function endWithHost(services: InstanceServices): Promise<void> {
  services.supervisor.retire();
  const up = services.registry.list<Instance>('Instance').filter(({ status }) => UP.has(status.state));
  if (up.length > 0) services.log.info({ instances: up.length }, 'the host goes down: instances are asked to end, and come back with it');
  await Promise.all(up.map((instance) => endOne(services, instance).catch((error: unknown) => {
    services.log.error({ instance: instance.meta.name, error: describe(error) }, 'an instance could not be brought to an end before the host goes down');
  })));
}

async function endOne(services: InstanceServices, seen: Instance): Promise<void> {
  await services.locks.hold(seen.meta.id, 'instance.exit', async () => {
    const instance = services.registry.byId<Instance>(seen.meta.id);
    if (instance === undefined || !UP.has(instance.status.state)) return;
    const context: EndContext = { services, instance };
    await endWorkload.run(context);
    const exit = context.exit ?? { exitCode: undefined, reason: 'unknown', finishedAtMs: services.clock.nowMs() };
    await services.supervisor.settleEnd(instance, endedWithHost(instance, exit), 0);
  });
}
