/** instance.create: the wish is checked against everything that is known before anything is touched. */
import { BerthError } from '../../model/errors.ts';
import { formOf, FORM_LABEL, type Form, type SettledIsolation } from '../../model/forms.ts';
import { assertName, makeObjectId, printable } from '../../model/ids.ts';
import { imageType, type Image } from '../../model/image.ts';
import type { Instance, InstancePort } from '../../model/instance-status.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import { API_VERSION, type BerthObject, type MetaInput } from '../../model/meta.ts';
import { DEFAULT_NETWORK, type Network } from '../../model/network.ts';
import type { Project } from '../../model/project.ts';
import type { Volume } from '../../model/volume.ts';
import type { Sandbox } from '../../drivers/network/driver.ts';
import { timestamp } from '../clock.ts';
import { decideIsolation, type AutoDecision } from '../advise/auto-isolation.ts';
import { findImage } from '../image/find.ts';
import type { Started } from '../journal.ts';
import { addressKey } from '../network/addresses.ts';
import { bindPorts, hostPortKey, makePort, portTaken, statusOfPort } from '../network/ports.ts';
import { targetOf } from '../records.ts';
import type { Transaction } from '../registry.ts';
import type { Caller } from '../services.ts';
import { untilUnchanged } from '../until-unchanged.ts';
import { assertUserData, hasCloudInit } from './boot-plan.ts';
import { assertFitsImage, chooseCds } from './disk-image.ts';
import { closeUnused, withStatus, type InstanceContext, type InstanceServices } from './context.ts';
import { takeDisks } from './disk-holders.ts';
import { makeName } from './names.ts';
import { chooseKernel } from './own-kernel.ts';
import { capabilitiesOf, osProcessPlan, processPlan, stopSignalOf } from './process.ts';
import { runningStatus } from './start.ts';
import { CREATE, CREATE_AND_START } from './step-lists.ts';
import { assertHonoured } from './refused-fields.ts';
import { assertNoConflicts } from './spec-conflicts.ts';
import { chooseVolumes } from './volumes.ts';

export interface CreateRequest {
  readonly project: string;
  readonly meta: MetaInput;
  readonly spec: InstanceSpec;
  readonly idempotencyKey?: string | undefined;
  /** For the audit; instance.create when missing. */
  readonly verb?: 'instance.create' | 'instance.run' | undefined;
  /** Called when the unit stands and before its workload starts: the moment to attach. */
  readonly beforeWorkload?: ((instance: Instance) => Promise<void>) | undefined;
}

export interface StartedCreate extends Started {
  /** Missing when an earlier request with the same Idempotency-Key made it. */
  readonly instance?: Instance | undefined;
}

export function createInstance(services: InstanceServices, caller: Caller, request: CreateRequest): Promise<StartedCreate> {
  const { project, idempotencyKey: key } = request;
  const begin = () => untilUnchanged(() => beginCreate(services, caller, request));
  return services.journal.once({ project, key, verb: 'instance.create', caller }, () => inTurn(services, turnsOf(services, request), begin));
}

/** Who counts instances, makes up a name or uses a volume decides by what others are just writing: one after the other. */
export function makersTurn(project: string): string {
  return `makers/${project}`;
}

/** Ports of the host are one for all projects, and a wildcard clashes with keys that are not its own. */
const PORTS_TURN = 'makers//ports';

function turnsOf(services: InstanceServices, { project, meta, spec }: CreateRequest): string[] {
  const limit = services.registry.find<Project>('Project', '', project)?.spec.instancesLimit;
  const byOthers = meta.name === undefined || limit !== undefined || (spec.volumes ?? []).some((mount) => mount.volume !== undefined);
  return [...((spec.ports ?? []).length > 0 ? [PORTS_TURN] : []), ...(byOthers ? [makersTurn(project)] : [])];
}

function inTurn<T>(services: InstanceServices, [first, ...rest]: readonly string[], work: () => Promise<T>): Promise<T> {
  return first === undefined ? work() : services.locks.hold(first, 'instance.create', () => inTurn(services, rest, work));
}

async function beginCreate(services: InstanceServices, caller: Caller, request: CreateRequest): Promise<StartedCreate> {
  const { registry, journal } = services;
  const { instance, images, volumes, disks, relied, sandbox } = await planInstance(services, caller, request);
  // Until the instance is written and seen by all: a prune at this moment must know of it.
  using uses = new DisposableStack();
  for (const image of images) uses.use(services.imageUses.hold(image.meta.id));
  const start = instance.spec.running === true;
  const context: InstanceContext = { services, instance, sandbox, beforeWorkload: request.beforeWorkload };
  const release = await services.locks.acquire(instance.meta.id, 'instance.create');
  try {
    const { operation, done } = await journal.begin({
      list: start ? CREATE_AND_START : CREATE, target: targetOf(instance), caller, context, idempotencyKey: request.idempotencyKey, auditVerb: request.verb,
      auditDetails: { image: instance.status.imageReference, form: instance.status.form, start },
      intent(transaction, name) {
        transaction.put(withStatus(instance, { operation: name }), 'absent');
        for (const volume of volumes) transaction.put(volume, 'absent');
        for (const disk of disks) transaction.put(disk, disk.meta.revision);
        for (const object of relied) transaction.unchanged(object);
        claimAll(transaction, instance);
      },
      outcome(transaction) {
        const made = start ? runningStatus(services, context) : withStatus(context.instance, { state: 'stopped' });
        transaction.put(made);
        journal.records.event(transaction, start ? 'instance.started' : 'instance.created', targetOf(made), `${FORM_LABEL[made.status.form]} '${made.meta.name}' was ${start ? 'started' : 'created'} from ${made.status.imageReference}.`);
      },
      failure(transaction, error) {
        transaction.delete(instance);
        releaseAll(transaction, instance);
        journal.records.event(transaction, 'instance.failed', targetOf(instance), `'${instance.meta.name}' could not be made: ${error.message}`, 'error');
      },
      result: () => ({ name: instance.meta.name, id: instance.meta.id }),
    });
    settleAddresses(services, instance.status.ports);
    // All of it before the lock is let go: whoever waits for it finds the sandbox parked and the end watched.
    const finished = done.then(async (ended) => {
      if (ended.status.state !== 'succeeded') await closeUnused(context);
      else if (start) services.supervisor.watch(registry.byId<Instance>(instance.meta.id) ?? instance);
      else if (sandbox !== undefined) services.pool.park(instance.meta.id, sandbox);
      return ended;
    }).finally(release);
    return { operation, done: finished, instance };
  } catch (error) {
    release();
    settleAddresses(services, instance.status.ports);
    await closeUnused(context);
    throw error;
  }
}

function claimAll(transaction: Transaction, instance: Instance): void {
  const { id } = instance.meta;
  for (const port of instance.status.ports) transaction.claim(addressKey(port.networkId, port.ipv4), id, `Address ${port.ipv4} is taken.`);
  for (const bound of instance.status.published) transaction.claim(hostPortKey(bound), id, portTaken(bound).message);
}

/** What an instance held alone is free again. */
export function releaseAll(transaction: Transaction, instance: Instance): void {
  for (const port of instance.status.ports) transaction.release(addressKey(port.networkId, port.ipv4));
  for (const bound of instance.status.published) transaction.release(hostPortKey(bound));
}

function settleAddresses(services: InstanceServices, ports: readonly InstancePort[]): void {
  for (const port of ports) services.addresses.settle(port.networkId, port.ipv4);
}

interface PlannedInstance {
  readonly instance: Instance;
  readonly images: readonly Image[];
  readonly volumes: ReturnType<typeof chooseVolumes>['made'];
  /** Block volumes that the start takes. */
  readonly disks: readonly Volume[];
  /** What must be as it is now when the intent is written: nobody may delete it meanwhile. */
  readonly relied: readonly BerthObject[];
  readonly sandbox: Sandbox | undefined;
}

async function planInstance(services: InstanceServices, caller: Caller, request: CreateRequest): Promise<PlannedInstance> {
  const { registry, randomness } = services;
  const { project, spec } = request;
  const owner = registry.get<Project>('Project', '', project);
  const image = findImage(services, project, spec.image);
  const type = imageType(image);
  // What a disk holds is a system; `run` makes applications alone.
  const mode = spec.mode ?? (type === 'oci' || request.verb === 'instance.run' ? 'app' : 'os');
  const { isolation, decision } = settleIsolation(services, request, image);
  const form = formOf(isolation, mode);
  const available = await services.runtimes[isolation].available(form, type === 'oci' ? undefined : (spec.firmware ?? 'bios'));
  if (!available.ok) throw new BerthError('unsupported', `This host cannot run ${FORM_LABEL[form]}s: ${available.reason}`, { hint: available.hint });
  assertHonoured(spec, form);
  assertFitsImage(spec, image, form);
  const limit = owner.spec.instancesLimit;
  if (limit !== undefined && registry.entries('Instance', project).length >= limit) throw new BerthError('exhausted', `Project '${project}' may have ${limit} instances and has them.`, { hint: 'Delete some, or raise the limit.' });
  if (type === 'oci') assertRunsHere(image);
  const cds = chooseCds(services, project, spec);
  const kernel = await chooseKernel(services, project, spec);
  const name = request.meta.name === undefined ? makeName(randomness, (taken) => registry.find('Instance', project, taken) !== undefined) : assertName(request.meta.name);
  if (registry.find('Instance', project, name) !== undefined) throw new BerthError('alreadyExists', `There is already an instance '${name}'.`, { hint: `Choose another name, or delete it first: berth rm ${name}`, details: { name } });
  assertNoConflicts(spec);
  validateProcess(spec, image, name, form);
  assertUserData(spec, await hasCloudInit(services, spec, image));
  const volumes = chooseVolumes(services, project, spec, form, caller, available.noDirectories);
  const published = bindPorts(spec.ports ?? [], registry, randomness);
  const networks = (spec.networks ?? [{ name: DEFAULT_NETWORK }]).map((wanted) => ({ wanted, network: registry.get<Network>('Network', project, wanted.name) }));
  if (published.length > 0 && networks.length === 0) throw new BerthError('invalid', 'Ports cannot be published without a network.', { fields: [{ path: 'spec.ports', message: 'needs a network' }] });
  assertFits(published.length, volumes.made.length);
  const extra = [...cds, ...(kernel === undefined ? [] : [kernel])];
  const { ports, sandbox } = takePorts(services, networks, isolation);
  const createdAt = timestamp(services.clock);
  const instance: Instance = {
    apiVersion: API_VERSION, kind: 'Instance',
    meta: { id: makeObjectId(randomness.bytes(12)), name, project, labels: request.meta.labels, owner: request.meta.owner, purpose: request.meta.purpose, createdAt, generation: 1, revision: 0 },
    spec: { ...spec, running: spec.running ?? false },
    status: {
      state: 'creating', observedGeneration: 1, form, isolation, mode, node: services.nodeName, boundary: available.boundary,
      imageId: image.status.digest, imageReference: image.spec.references.includes(spec.image) ? spec.image : (image.spec.references[0] ?? spec.image),
      ...(type === 'oci' ? {} : { imageType: type }), ...(cds.length === 0 ? {} : { isoIds: cds.map((cd) => cd.status.digest) }),
      ...(kernel === undefined ? {} : { kernelImageId: kernel.status.digest }),
      ...(decision === undefined ? {} : { decision }), ports, addresses: Object.fromEntries(ports.map((port) => [port.network, [port.ipv4, port.ipv6]])), published, volumes: volumes.ids, restarts: 0,
    },
  };
  return { instance, images: [image, ...extra], volumes: volumes.made, disks: spec.running === true ? takeDisks(services, instance) : [], relied: [...new Set([owner, image, ...extra, ...networks.map(({ network }) => network)])], sandbox };
}

/** One that was fetched for another processor can be kept and sent on. */
function assertRunsHere({ spec, status }: Image): void {
  const { architecture, os } = status.config;
  const here = HOST_ARCHITECTURES[process.arch] ?? process.arch;
  if (architecture === here && os === 'linux') return;
  throw new BerthError('unsupported', `Image '${spec.references[0] ?? status.digest}' is for ${printable(os)}/${printable(architecture)}; this host runs linux/${here}.`, { hint: `Fetch the one for this host: berth pull ${spec.references[0] ?? 'REF'}` });
}

/** Images use Go's words. */
const HOST_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** What was decided by `auto` stands in the status with its reasons; what was said stands in the spec. */
function settleIsolation(services: InstanceServices, { meta, spec }: CreateRequest, image: Image): { readonly isolation: SettledIsolation; readonly decision?: AutoDecision | undefined } {
  if (spec.isolation !== 'auto') return { isolation: spec.isolation ?? 'container' };
  if (imageType(image) !== 'oci') return { isolation: 'vm', decision: { isolation: 'vm', reasons: ['A disk image has a kernel of its own: only a VM can boot it.'] } };
  if (spec.kernel !== undefined) return { isolation: 'vm', decision: { isolation: 'vm', reasons: ['It asks for a kernel of its own: only a machine can boot one.'] } };
  const decision = decideIsolation(services, { name: meta.name ?? 'instance', meta, spec, image });
  return { isolation: decision.isolation, decision };
}

/** Everything that a start would find wrong is said now. */
function validateProcess(spec: InstanceSpec, image: Image, name: string, form: Form): void {
  if (imageType(image) !== 'oci') return;
  if (spec.mode === 'os') osProcessPlan(spec, image, form);
  else processPlan(spec, image, spec.hostname ?? name);
  capabilitiesOf(spec, form);
  stopSignalOf(spec, image, form);
}

function takePorts(services: InstanceServices, networks: readonly { wanted: NonNullable<InstanceSpec['networks']>[number]; network: Network }[], isolation: SettledIsolation) {
  const names = networks.map(({ network }) => network.meta.name);
  if (new Set(names).size !== names.length) throw new BerthError('invalid', 'A network is named twice.', { fields: [{ path: 'spec.networks', message: 'named twice' }] });
  for (const [index, { wanted, network }] of networks.entries()) {
    if (network.status.state !== 'ready') throw new BerthError('wrongState', `Network '${network.meta.name}' is ${network.status.state}.`);
    if (wanted.ipv6 !== undefined) throw new BerthError('unsupported', 'An IPv6 address cannot be chosen: it follows the IPv4 one.', { fields: [{ path: `spec.networks.${index}.ipv6`, message: 'follows ipv4' }] });
  }
  const single = networks.length === 1 ? networks[0]! : undefined;
  if (single !== undefined && isolation === 'container' && single.network.meta.name === DEFAULT_NETWORK && single.wanted.ipv4 === undefined) {
    const sandbox = services.pool.take(single.network);
    if (sandbox !== undefined) return { ports: sandbox.ports.map((port) => statusOfPort(single.network, port)), sandbox };
  }
  const ports: InstancePort[] = [];
  try {
    for (const [index, { wanted, network }] of networks.entries()) {
      const pair = wanted.ipv4 === undefined ? services.addresses.reserve(network) : services.addresses.reserveExact(network, wanted.ipv4);
      ports.push(statusOfPort(network, makePort(network, `eth${index}`, pair, services.randomness)));
    }
  } catch (error) {
    settleAddresses(services, ports);
    throw error;
  }
  return { ports, sandbox: undefined };
}

/** Every claim and every new volume is a compare and a change of one transaction, which is bounded. */
const MOST_CLAIMS = 48;

function assertFits(ports: number, volumes: number): void {
  if (ports + volumes <= MOST_CLAIMS) return;
  throw new BerthError('unsupported', `${ports} published ports (an address of each family counts as one) and ${volumes} new volumes are more than the ${MOST_CLAIMS} that one create can claim.`, { hint: 'Publish fewer ports, give them one address each, or make the volumes first.', fields: [{ path: ports > volumes ? 'spec.ports' : 'spec.volumes', message: 'too many at once' }] });
}
