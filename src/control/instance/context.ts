/** What the steps of an instance's verbs share, and where the drivers for its form are. */
import type { Sandbox } from '../../drivers/network/driver.ts';
import type { RuntimeDriver, UnitInfo } from '../../drivers/runtime/driver.ts';
import { asBerthError, BerthError, errorBody } from '../../model/errors.ts';
import { objectId, type ObjectId } from '../../model/ids.ts';
import type { Image } from '../../model/image.ts';
import type { Instance, InstanceStatus } from '../../model/instance-status.ts';
import { describe, type StepContext } from '../journal.ts';
import type { Services } from '../services.ts';
import type { Supervisor } from './supervisor.ts';
import type { Addresses } from '../network/addresses.ts';
import type { SandboxPool } from '../network/sandbox-pool.ts';

/** The services, plus what instance verbs keep between calls. */
export interface InstanceServices extends Services {
  readonly supervisor: Supervisor;
  readonly addresses: Addresses;
  readonly pool: SandboxPool;
}

export interface InstanceContext extends StepContext {
  readonly services: InstanceServices;
  instance: Instance;
  sandbox?: Sandbox | undefined;
  info?: UnitInfo | undefined;
  /** The verb before this one failed: parts of its unit may be there. */
  readonly leftovers?: boolean | undefined;
  /** Called when the unit stands and before its workload starts: the moment to attach. */
  readonly beforeWorkload?: ((instance: Instance) => Promise<void>) | undefined;
}

export function runtimeOf(services: Services, instance: Instance): RuntimeDriver {
  return services.runtimes[instance.status.isolation];
}

export function idOf(instance: Instance): ObjectId {
  return objectId(instance.meta.id);
}

export function imageOf(services: Services, instance: Instance): Image {
  const image = services.registry.list<Image>('Image', instance.meta.project).find((one) => one.status.digest === instance.status.imageId);
  if (image === undefined) throw new BerthError('notFound', `The image of '${instance.meta.name}' (${instance.status.imageReference}) is gone.`, { hint: 'Import it again, or delete the instance.' });
  return image;
}

/** The instance as the registry has it now. */
export function fresh(services: Services, instance: Instance): Instance | undefined {
  return services.registry.byId<Instance>(instance.meta.id);
}

export function withStatus(instance: Instance, status: Partial<InstanceStatus>): Instance {
  return { ...instance, status: { ...instance.status, ...status } };
}

/** Takes away what speaks of a process that is no more. */
export function withoutProcess(instance: Instance, status: Partial<InstanceStatus>): Instance {
  const { health: _health, pid: _pid, pidStartTicks: _ticks, monitorPid: _monitor, uidMap: _map, operation: _operation, error: _error, retryAt: _retry, ...rest } = instance.status;
  return { ...instance, status: { ...rest, ...status } };
}

/** A sandbox that was there before the steps, and that none of them took or took back. */
export async function closeUnused(context: InstanceContext): Promise<void> {
  const { services, sandbox } = context;
  if (sandbox === undefined) return;
  context.sandbox = undefined;
  await services.network.closeSandbox(sandbox).catch((error: unknown) => services.log.error({ instance: context.instance.meta.name, error: describe(error) }, 'a sandbox could not be closed'));
}

/**
 * A verb could not be brought to its end. Ids that may still be in use stay written down: the next start or delete
 * takes down what is left, and gives them back.
 */
export function failedStatus(instance: Instance, error: unknown): Instance {
  const { uidMap } = instance.status;
  return withoutProcess(instance, { state: 'failed', error: errorBody(asBerthError(error, `bring '${instance.meta.name}' to an end`)), ...(uidMap === undefined ? {} : { uidMap }) });
}

export function rangeOf(instance: Instance): { readonly idBase: number; readonly idCount: number } | undefined {
  const { uidMap } = instance.status;
  return uidMap === undefined ? undefined : { idBase: uidMap.base, idCount: uidMap.count };
}

/** What was observed of a unit that runs, as it is written down. */
export function processStatus(info: UnitInfo): Partial<InstanceStatus> {
  return {
    pid: info.process.pid, pidStartTicks: info.process.startTicks, monitorPid: info.monitor.pid, boundary: info.boundary,
    ...(info.idRange === undefined ? {} : { uidMap: info.idRange }),
    ...(info.accelerator === undefined ? {} : { accelerator: info.accelerator }), ...(info.kernel === undefined ? {} : { kernel: info.kernel }), ...(info.start === undefined ? {} : { start: info.start }),
  };
}
