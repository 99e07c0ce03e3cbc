/** The steps of an instance's verbs, each with its undo. Idempotent: the next daemon may run them again. */
import type { RootPlan } from '../../drivers/runtime/driver.ts';
import { BerthError } from '../../model/errors.ts';
import { objectId } from '../../model/ids.ts';
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import { bootsItself, type Instance, type InstancePort } from '../../model/instance-status.ts';
import type { Project } from '../../model/project.ts';
import { planOfPorts, publishedPorts } from '../network/ports.ts';
import type { Step } from '../journal.ts';
import type { Services } from '../services.ts';
import { idOf, imageOf, rangeOf, runtimeOf, withStatus, type InstanceContext } from './context.ts';
import { hasCloudInit } from './boot-plan.ts';
import { diskRequest, diskRootPlan } from './disk-image.ts';
import { kernelDirOf } from './own-kernel.ts';
import { unitPlan } from './unit-plan.ts';
import { volumePlans } from './volumes.ts';

type InstanceStep = Step<InstanceContext>;

const isVm = (context: InstanceContext): boolean => context.instance.status.isolation === 'vm';

function ports(context: InstanceContext) {
  return planOfPorts(context.instance);
}

/** Makes the writable part of the root. */
export const makeRoot: InstanceStep = {
  name: 'root',
  async run({ services, instance, signal, progress }) {
    const disk = bootsItself(instance) ? diskRequest(services, imageOf(services, instance), instance.spec) : undefined;
    await services.storage.createRoot({ id: idOf(instance), form: instance.status.form, sizeBytes: instance.spec.rootDiskBytes, ...(disk === undefined ? {} : { disk }), ...(instance.spec.root === 'flat' ? { flat: flatMaker(services, instance, signal) } : {}), specCopy: specCopy(instance) }, { signal, onProgress: progress });
  },
  /** Its maker is undone altogether: the log has nobody to read it any more. */
  async undo({ services, instance }) {
    await runtimeOf(services, instance).remove(idOf(instance), { keepLog: false });
    await services.storage.removeRoot(idOf(instance));
  },
};

/** The image as one file system, made in a jail of what the layers hold: no guest has written to it yet. */
function flatMaker(services: Services, instance: Instance, signal: AbortSignal | undefined): (file: string, sizeBytes: number) => Promise<void> {
  const layers = imageOf(services, instance).status.layers.map((layer) => services.content.layerPath(layer.diffId));
  return (file, sizeBytes) => services.unpacker.buildExt4(layers, file, sizeBytes, signal);
}

function specCopy(instance: InstanceContext['instance']): string {
  return JSON.stringify({ kind: instance.kind, meta: instance.meta, spec: instance.spec, status: { imageId: instance.status.imageId, imageReference: instance.status.imageReference, imageType: instance.status.imageType, isoIds: instance.status.isoIds, kernelImageId: instance.status.kernelImageId, form: instance.status.form, ports: instance.status.ports, volumes: instance.status.volumes } });
}

/** Refuses a start that would leave the host without its reserve; the sum is shown. */
export const admit: InstanceStep = {
  name: 'admit',
  async run({ services, instance }) {
    admitToProject(services, instance);
    const facts = await services.hostFacts();
    const reserve = Math.max(512 * MIB, facts.memoryTotalBytes * 0.1);
    const needs = instance.status.isolation === 'vm' ? (instance.spec.memoryBytes ?? 256 * MIB) + VM_OVERHEAD_BYTES : CONTAINER_FLOOR_BYTES;
    if (facts.memoryAvailableBytes - needs < reserve) {
      throw new BerthError('exhausted', `Starting '${instance.meta.name}' needs ${mib(needs)} MiB; ${mib(facts.memoryAvailableBytes)} MiB are available and ${mib(reserve)} MiB of them stay free for the host.`, { hint: 'Stop something, or give it less memory.' });
    }
    const diskReserve = facts.diskTotalBytes * 0.05;
    if (facts.diskFreeBytes < diskReserve) {
      throw new BerthError('exhausted', `The disk has ${mib(facts.diskFreeBytes)} MiB free; ${mib(diskReserve)} MiB stay free for the host.`, { hint: 'Delete images, volumes or instances.' });
    }
  },
};

/** States in which an instance has, or is about to have, its memory. */
const HOLDS_MEMORY: ReadonlySet<string> = new Set(['starting', 'running', 'paused', 'stopping', 'unsupervised']);

export function admitToProject(services: Services, instance: Instance): void {
  const limit = services.registry.find<Project>('Project', '', instance.meta.project)?.spec.memoryLimitBytes;
  if (limit === undefined) return;
  const memoryOf = (one: Instance): number => one.spec.memoryBytes ?? FORM_DEFAULTS[one.status.form].memoryBytes;
  const others = services.registry.list<Instance>('Instance', instance.meta.project).filter((one) => one.meta.id !== instance.meta.id && (HOLDS_MEMORY.has(one.status.state) || (one.status.state === 'creating' && one.spec.running === true)));
  const held = others.reduce((sum, one) => sum + memoryOf(one), 0);
  if (held + memoryOf(instance) <= limit) return;
  throw new BerthError('exhausted', `Project '${instance.meta.project}' may use ${mib(limit)} MiB of memory; ${mib(held)} MiB are in use and '${instance.meta.name}' needs ${mib(memoryOf(instance))} MiB.`, { hint: 'Stop something, give it less memory, or raise the limit of the project.' });
}

const MIB = 1024 * 1024;
const VM_OVERHEAD_BYTES = 96 * MIB;
const CONTAINER_FLOOR_BYTES = 8 * MIB;
const mib = (bytes: number): number => Math.round(bytes / MIB);

/** Namespaces and ports. A pooled sandbox was taken when the addresses were; after a crash or a stop a new one is opened. */
export const wireNetwork: InstanceStep = {
  name: 'network',
  async run(context) {
    const { services } = context;
    if (isVm(context)) return;
    context.sandbox ??= await services.network.openSandbox({ ports: ports(context) });
    const { idBase, idCount } = context.sandbox;
    context.instance = withStatus(context.instance, { uidMap: { base: idBase, count: idCount } });
  },
  async undo(context) {
    if (context.sandbox !== undefined) await context.services.network.closeSandbox(context.sandbox);
    else await context.services.network.release(rangeOf(context.instance), ports(context));
    context.sandbox = undefined;
    withoutRange(context);
  },
};

export const publish: InstanceStep = {
  name: 'publish',
  async run({ services, instance }) {
    const first = instance.status.ports[0];
    if (instance.status.published.length === 0) return;
    await services.network.publish(idOf(instance), publishedPorts(instance.status.published, first!));
  },
  async undo({ services, instance }) {
    if (instance.status.published.length > 0) await services.network.unpublish(idOf(instance));
  },
};

/** Monitor and boundary: the unit exists and stands right before its first instruction. */
export const makeUnit: InstanceStep = {
  name: 'unit',
  async run(context) {
    const { services, instance } = context;
    const image = imageOf(services, instance);
    const taps = new Map<string, { name: string; bridge: string }>();
    if (isVm(context)) for (const port of ports(context)) taps.set(port.portId, await services.network.prepareTap(port));
    const plan = unitPlan(services, instance, { image, root: await rootPlan(context), kernelDir: await kernelDirOf(services, instance, context.signal), volumes: volumePlans(context), cloudInit: await hasCloudInit(services, instance.spec, image), sandbox: context.sandbox, taps });
    context.info = await runtimeOf(services, instance).create(plan, context.signal);
    if (context.sandbox !== undefined) await services.network.handOver(context.sandbox);
  },
  async undo(context) {
    const { services, instance } = context;
    await runtimeOf(services, instance).remove(idOf(instance), { keepLog: true });
    if (isVm(context)) await services.network.release(undefined, ports(context));
  },
};

async function rootPlan(context: InstanceContext): Promise<RootPlan> {
  const { services, instance } = context;
  if (bootsItself(instance)) return { layers: [], readOnly: false, volatile: false, disk: diskRootPlan(services, instance) };
  const image = imageOf(services, instance);
  const layers = image.status.layers.map((layer) => services.content.layerPath(layer.diffId));
  const flat = instance.spec.root === 'flat';
  const paths = services.storage.rootPaths(idOf(instance), instance.status.form, flat ? 'flat' : 'layers');
  const imageFile = isVm(context) && !flat ? await services.content.imageFile(image.status.configDigest, image.status.layers.map((layer) => layer.diffId), context.signal) : undefined;
  return {
    layers, ...(imageFile === undefined ? {} : { imageFile }),
    ...(paths.upperDir === undefined ? {} : { upperDir: paths.upperDir }),
    ...(paths.upperDisk === undefined || (instance.spec.removeOnExit === true && !flat) ? {} : { upperDisk: paths.upperDisk }), ...(flat ? { flat } : {}),
    readOnly: instance.spec.readOnlyRoot ?? false,
    // A system comes back from its reboots to the same root.
    volatile: instance.spec.removeOnExit === true && instance.status.mode === 'app',
  };
}

/** Its names on its networks, before its first instruction: who it calls may call back. */
export const announce: InstanceStep = {
  name: 'names',
  async run({ services, instance }) {
    for (const [networkId, own] of byNetwork(instance.status.ports)) {
      await services.network.setNames(objectId(networkId), idOf(instance), [{ name: instance.meta.name, addresses: own.flatMap((port) => [port.ipv4, port.ipv6]) }]);
    }
  },
  async undo({ services, instance }) {
    for (const networkId of byNetwork(instance.status.ports).keys()) await services.network.setNames(objectId(networkId), idOf(instance), []);
  },
};

function byNetwork(all: readonly InstancePort[]): Map<string, InstancePort[]> {
  return Map.groupBy(all, (port) => port.networkId);
}

/** The workload runs. */
export const startWorkload: InstanceStep = {
  name: 'workload',
  async run(context) {
    const { services, instance } = context;
    await context.beforeWorkload?.(instance);
    await runtimeOf(services, instance).start(idOf(instance));
  },
};

/** Everything a running unit holds beside its disk goes: in the order in which nothing leaks. */
export const tearDown: readonly InstanceStep[] = [
  { name: 'names', run: (context) => announce.undo!(context) },
  { name: 'publish', run: (context) => publish.undo!(context) },
  { name: 'unit', run: ({ services, instance }) => runtimeOf(services, instance).remove(idOf(instance), { keepLog: true, keepExit: true }) },
  {
    name: 'network',
    async run(context) {
      await context.services.network.release(rangeOf(context.instance), ports(context));
      withoutRange(context);
    },
  },
];

/** Given back is given back once: by the next time it may be somebody else's. */
function withoutRange(context: InstanceContext): void {
  context.instance = withStatus(context.instance, { uidMap: undefined });
}

/** What a verb that failed left of an earlier unit. */
export const clear: InstanceStep = {
  name: 'clear',
  async run(context) {
    if (context.leftovers !== true) return;
    for (const step of tearDown) await step.run(context);
  },
};

export const startSteps: readonly InstanceStep[] = [admit, wireNetwork, publish, announce, makeUnit, startWorkload];

/** The last of it: log and root. */
export const removeRest: readonly InstanceStep[] = [
  { name: 'log', run: ({ services, instance }) => runtimeOf(services, instance).remove(idOf(instance), { keepLog: false }) },
  { name: 'root', irreversible: true, run: ({ services, instance }) => services.storage.removeRoot(idOf(instance)) },
];
