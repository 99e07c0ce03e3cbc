/** instance.top: the processes of running instances, of any form, in one pass; numbers of users become names. */
import type { UnitProcesses } from '../../drivers/runtime/driver.ts';
import { BerthError } from '../../model/errors.ts';
import { objectId } from '../../model/ids.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { InstanceProcesses } from '../../model/instance-processes.ts';
import { accountsOf } from './accounts.ts';
import { idOf, runtimeOf, type InstanceServices } from './context.ts';

const LOOKED_AT: readonly string[] = ['running', 'paused', 'unsupervised', 'stopping'];

/** @throws BerthError `wrongState` when one that was named does not run. */
export async function topInstances(services: InstanceServices, instances: readonly Instance[], wereNamed: boolean): Promise<readonly InstanceProcesses[]> {
  const idle = instances.find((one) => !LOOKED_AT.includes(one.status.state));
  if (wereNamed && idle !== undefined) throw new BerthError('wrongState', `'${idle.meta.name}' is ${idle.status.state}: nothing runs in it.`, { hint: `Start it first: berth start ${idle.meta.name}` });
  const running = instances.filter((one) => LOOKED_AT.includes(one.status.state));
  const groups = (['container', 'vm'] as const).map((isolation) => running.filter((one) => one.status.isolation === isolation)).filter((some) => some.length > 0);
  const told = await Promise.all(groups.map((some) => runtimeOf(services, some[0]!).processes(some.map(idOf))));
  const all = new Map(told.flatMap((one) => [...one]));
  return Promise.all(running.flatMap((instance) => {
    const seen = all.get(objectId(instance.meta.id));
    return seen === undefined ? [] : [named(services, instance, seen)];
  }));
}

async function named(services: InstanceServices, instance: Instance, seen: UnitProcesses): Promise<InstanceProcesses> {
  const { meta, status } = instance;
  const users = userNames((await accountsOf(services, instance).catch(() => undefined))?.passwd ?? '');
  return {
    name: meta.name, project: meta.project, id: meta.id, form: status.form, ...seen,
    processes: seen.processes.map((one) => ({ ...one, ...(one.uid === undefined ? {} : { user: users.get(one.uid) ?? String(one.uid) }) })),
  };
}

const MAX_NAME = 32;

/** passwd(5); the first entry of a number counts. */
function userNames(passwd: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of passwd.split('\n')) {
    const [name = '', , uid = ''] = line.split(':');
    if (/^\d{1,5}$/.test(uid) && name !== '' && name.length <= MAX_NAME && !names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}
