/** instance.stats: what running instances use, of any form, in one pass. */
import { objectId } from '../../model/ids.ts';
import type { Form } from '../../model/forms.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { UnitStats } from '../../drivers/runtime/driver.ts';
import { idOf, runtimeOf, type InstanceServices } from './context.ts';

export interface InstanceStats extends Partial<UnitStats> {
  readonly name: string;
  readonly project: string;
  readonly id: string;
  readonly form: Form;
  /** By all its networks since this start, as the host counted it; missing without a network. */
  readonly networkReceivedBytes?: number | undefined;
  readonly networkSentBytes?: number | undefined;
}

export async function instanceStats(services: InstanceServices, instances: readonly Instance[]): Promise<readonly InstanceStats[]> {
  const running = instances.filter(({ status }) => status.state === 'running' || status.state === 'paused');
  const traffic = await services.network.traffic(running.flatMap(({ status }) => status.ports.map(({ portId }) => portId)));
  const groups = (['container', 'vm'] as const).map((isolation) => running.filter((one) => one.status.isolation === isolation)).filter((some) => some.length > 0);
  const told = await Promise.all(groups.map(async (some) => ({ some, stats: await runtimeOf(services, some[0]!).stats(some.map(idOf)) })));
  return told.flatMap(({ some, stats }) => some.map(({ meta, status }) => {
    const ports = status.ports.flatMap(({ portId }) => traffic.get(portId) ?? []);
    const sum = (what: 'receivedBytes' | 'sentBytes'): number => ports.reduce((all, port) => all + port[what], 0);
    return {
      name: meta.name, project: meta.project, id: meta.id, form: status.form, ...stats.get(objectId(meta.id)),
      ...(ports.length === 0 ? {} : { networkReceivedBytes: sum('receivedBytes'), networkSentBytes: sum('sentBytes') }),
    };
  }));
}
