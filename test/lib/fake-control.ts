/**
 * A whole control plane without a kernel: memory store, fakes, a clock that the test moves. The world outlives the
 * Control, as a host outlives its daemon: open another one on it to see what the next daemon makes of it.
 */
import { adviceText } from '../../src/advise/advice-text.ts';
import { adviseFiles } from '../../src/advise/advise-files.ts';
import { Control, type ControlParts } from '../../src/control/control.ts';
import { bootstrapImage } from '../../src/control/image/image.ts';
import { createInstance, type CreateRequest } from '../../src/control/instance/create.ts';
import type { StepHook } from '../../src/control/journal.ts';
import type { Randomness } from '../../src/control/clock.ts';
import type { Caller, HostFacts, ProcessEvidence } from '../../src/control/services.ts';
import { fakeContent, FakeContentHost } from '../../src/drivers/content/fake/fake-content.ts';
import { fakeNetwork, FakeNetworkHost } from '../../src/drivers/network/fake/fake-network.ts';
import { fakeRegistries, FakeRegistryHost } from '../../src/drivers/registry/fake/fake-registry.ts';
import { fakeRuntime, FakeRuntimeHost } from '../../src/drivers/runtime/fake/fake-runtime.ts';
import { fakeStorage, FakeStorageHost } from '../../src/drivers/storage/fake/fake-storage.ts';
import { MemoryStore } from '../../src/drivers/store/memory/store.ts';
import { fakeUnpacker } from '../../src/drivers/unpack/fake/fake-unpacker.ts';
import { parseInput } from '../../src/model/define.ts';
import { BerthError } from '../../src/model/errors.ts';
import { objectId } from '../../src/model/ids.ts';
import { instanceSpec, type InstanceSpec } from '../../src/model/instance.ts';
import type { Instance } from '../../src/model/instance-status.ts';
import type { FormFact } from '../../src/model/node.ts';
import type { Operation } from '../../src/model/operation.ts';
import { Life, mortal } from './mortal.ts';
import { settle, TestClock } from './test-clock.ts';

const MIB = 1024 * 1024;
const FORMS_HERE: readonly FormFact[] = [{ form: 'appContainer', available: true, boundary: 'kernel' }, { form: 'microVM', available: true, boundary: 'emulated' }];
const GIB = 1024 * MIB;

/** Root on the socket. */
export const ROOT: Caller = { actor: 'uid:0', admin: true, hostPaths: true, requestId: 'request-1' };
/** A member of the group on the socket. */
export const MEMBER: Caller = { actor: 'uid:1000', admin: true, hostPaths: false, requestId: 'request-2' };

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly facts: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface OpenOptions {
  readonly stepHook?: StepHook | undefined;
  readonly life?: Life | undefined;
  /** Replaces single parts. */
  readonly parts?: ((parts: ControlParts) => ControlParts) | undefined;
}

export class FakeWorld implements AsyncDisposable {
  readonly clock = new TestClock();
  readonly store = new MemoryStore();
  readonly containers: FakeRuntimeHost;
  readonly machines: FakeRuntimeHost;
  readonly network = new FakeNetworkHost();
  readonly storage = new FakeStorageHost();
  readonly content = new FakeContentHost();
  readonly registries = new FakeRegistryHost();
  readonly log: LogLine[] = [];
  readonly randomness = seededRandomness();
  /** Of every unit that is looked at. */
  evidence: ProcessEvidence | undefined = { memoryBytes: 2 * MIB, monitorMemoryBytes: 300 * 1024, cpuSeconds: 1, readBytes: 0, writtenBytes: 0, processes: 1, isPartial: false, listeningPorts: [80], uids: [100_000], hasRawSockets: false };
  facts: HostFacts = { memoryTotalBytes: 16 * GIB, memoryAvailableBytes: 12 * GIB, diskTotalBytes: 100 * GIB, diskFreeBytes: 50 * GIB };
  #control: Control | undefined;
  #life = new Life();

  constructor() {
    const common = { nowMs: () => this.clock.nowMs(), after: (delayMs: number, work: () => void) => this.clock.after(delayMs, work) };
    this.containers = new FakeRuntimeHost({ ...common, forms: ['appContainer'], boundary: 'kernel' });
    this.machines = new FakeRuntimeHost({ ...common, forms: ['microVM', 'vm'], boundary: 'emulated' });
  }

  /** With a control plane that is open, and the image `busybox`. */
  static async open(options: OpenOptions = {}): Promise<FakeWorld> {
    const world = new FakeWorld();
    await world.reopen();
    const { done } = await bootstrapImage(world.control.services, ROOT, 'default', { name: 'busybox', include: [], config: {} }, undefined);
    succeeded(await done);
    if (options.stepHook !== undefined || options.life !== undefined || options.parts !== undefined) await world.reopen(options);
    return world;
  }

  get control(): Control {
    if (this.#control === undefined) throw new Error('the control plane is not open');
    return this.#control;
  }

  get services(): Control['services'] {
    return this.control.services;
  }

  /** The daemon that is open dies as by SIGKILL. */
  kill(): void {
    this.#life.end();
    this.#control = undefined;
  }

  /** Ends the daemon that is open and begins the next one. Resolves to false when that one dies while it opens. */
  async reopen(options: OpenOptions = {}): Promise<boolean> {
    this.kill();
    await settle();
    const life = options.life ?? new Life();
    this.#life = life;
    const control = await Promise.race([Control.open(this.parts(options, life)), life.died]);
    if (control === undefined) return false;
    this.#control = control;
    return true;
  }

  parts({ stepHook, parts }: OpenOptions, life: Life): ControlParts {
    const clock = this.clock;
    const say = (level: LogLine['level']) => (facts: LogLine['facts'], message: string) => { if (!life.isOver) this.log.push({ level, facts, message }); };
    const all: ControlParts = {
      nodeName: 'node1',
      clock: { nowMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs(), after: (delayMs, work) => clock.after(delayMs, () => { if (!life.isOver) work(); }) },
      randomness: this.randomness,
      log: { info: say('info'), warn: say('warn'), error: say('error') },
      store: mortal('store', this.store, life),
      runtimes: { container: mortal('container', fakeRuntime(this.containers), life), vm: mortal('vm', fakeRuntime(this.machines), life) },
      storage: mortal('storage', fakeStorage(this.storage), life),
      network: mortal('network', fakeNetwork(this.network), life),
      content: mortal('content', fakeContent(this.content), life),
      unpacker: mortal('unpacker', fakeUnpacker((layer, file) => this.content.readFile(layer, file)), life),
      registries: mortal('registries', fakeRegistries(this.registries), life),
      hostFacts: () => Promise.resolve(this.facts),
      processEvidence: () => Promise.resolve(this.evidence),
      adviser: { advise: (request) => Promise.resolve(adviceText(adviseFiles({ ...request, weights: request.weights, host: { hardwareVirtualization: request.hardwareVirtualization } }), request.format)) },
      fileBytes: (files) => Promise.resolve(files.length),
      describeNode: () => Promise.resolve({ version: '0', hostname: 'host', kernel: '6', cpus: 2, memoryBytes: this.facts.memoryTotalBytes, cgroupMode: 'v2', forms: FORMS_HERE, bootId: 'boot-1' }),
      stepHook: stepHook === undefined ? undefined : (verb, step, moment) => life.passed({ on: 'hook', method: `${verb}/${step}/${moment}`, args: [] }, () => stepHook(verb, step, moment)),
    };
    return parts === undefined ? all : parts(all);
  }

  /** As it would come in over the API: parsed. */
  request(name: string | undefined, spec: Record<string, unknown> = {}, project = 'default'): CreateRequest {
    return { project, meta: name === undefined ? {} : { name }, spec: makeSpec(spec) };
  }

  async create(name: string | undefined, spec: Record<string, unknown> = {}, caller: Caller = ROOT): Promise<Instance> {
    const operation = await ended(createInstance(this.services, caller, this.request(name, spec)));
    return this.get((operation.status.result as { name: string }).name);
  }

  /** Created and running. */
  run(name: string, spec: Record<string, unknown> = {}): Promise<Instance> {
    return this.create(name, { running: true, ...spec });
  }

  find(name: string, project = 'default'): Instance | undefined {
    return this.services.registry.find<Instance>('Instance', project, name);
  }

  get(name: string, project = 'default'): Instance {
    return this.services.registry.get<Instance>('Instance', project, name);
  }

  unit(name: string) {
    const { meta, status } = this.get(name);
    return (status.isolation === 'vm' ? this.machines : this.containers).units.get(objectId(meta.id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#control?.[Symbol.asyncDispose]();
    this.kill();
    await this.store[Symbol.asyncDispose]();
  }
}

export function makeSpec(spec: Record<string, unknown>): InstanceSpec {
  return parseInput(instanceSpec, { image: 'busybox', ...spec }, 'instance', 'spec');
}

export function succeeded(operation: Operation): Operation {
  if (operation.status.state !== 'succeeded') throw new Error(`${operation.spec.verb} ended as ${operation.status.state}: ${JSON.stringify(operation.status.error)}`);
  return operation;
}

/** The end of a verb that began, or a throw with its error. */
export async function ended(started: Promise<{ readonly done: Promise<Operation> }>): Promise<Operation> {
  const operation = await (await started).done;
  const { error } = operation.status;
  if (error !== undefined) throw new BerthError(error.code, error.message, { hint: error.hint, fields: error.fields, details: error.details });
  return operation;
}

/** The same every time: a failing test fails again. */
function seededRandomness(seed = 1): Randomness {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) & 255;
  };
  return { bytes: (count) => Uint8Array.from({ length: count }, next) };
}
