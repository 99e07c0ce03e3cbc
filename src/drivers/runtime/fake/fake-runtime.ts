/** A runtime in memory: units live in the host object and outlive the driver, as they outlive a daemon. */
import { BerthError } from '../../../model/errors.ts';
import type { Boundary, Form } from '../../../model/forms.ts';
import { isObjectId, type ObjectId } from '../../../model/ids.ts';
import type { CopyInRequest, CopyOutRequest, DiskRootPlan, ExecPlan, ExecSession, ExitRecord, NoDirectories, Observed, OutputChunk, RemoveOptions, ResourcePlan, RuntimeDriver, UnitInfo, UnitPlan, UnitProcesses, UnitStats } from '../driver.ts';
import { noAgent } from '../no-agent.ts';
import { copyInto, copyOutOf } from '../unit-files.ts';
import { ChunkPipe } from './chunk-pipe.ts';
import { FakeProcess } from './fake-process.ts';
import { FakeUnit, type FakeLogLine } from './fake-unit.ts';
import { lookUp, runProgram, type FakeLookup, type FakeProgram, type FakeTimer } from './programs.ts';

export interface FakeRuntimeHostParts {
  readonly forms: readonly Form[];
  readonly boundary: Boundary;
  /** Wall clock of this host, milliseconds since 1970. */
  readonly nowMs: () => number;
  readonly after: FakeTimer;
  /** More than the usual ones, by name. */
  readonly programs?: Readonly<Record<string, FakeProgram>> | undefined;
  /** Which names cannot be run; by default only MISSING_PROGRAM. */
  readonly lookUp?: FakeLookup | undefined;
}

/** One black dot. */
const SCREEN: Uint8Array = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==', 'base64');

/** What is really there, whoever looks. */
export class FakeRuntimeHost {
  readonly parts: FakeRuntimeHostParts;
  readonly units = new Map<ObjectId, FakeUnit>();
  readonly logs = new Map<ObjectId, FakeLogLine[]>();
  /** Of units that are gone. */
  readonly exits = new Map<ObjectId, ExitRecord>();
  /** Files that units wrote, by their upper. */
  readonly uppers = new Map<string, Map<string, string>>();
  /** A sentence: this host cannot run anything. */
  unavailable: string | undefined;
  /** This host has no virtiofsd. */
  noDirectories: NoDirectories | undefined;
  readonly missingFirmware = new Set<DiskRootPlan['firmware']>();
  nextPid = 1000;

  constructor(parts: FakeRuntimeHostParts) {
    this.parts = parts;
  }

  /** The monitor dies: the process goes on, its exit code will not be seen. */
  loseMonitor(id: ObjectId): void {
    this.units.get(id)!.loseMonitor();
  }

  /** As after a power cut: nothing runs, nothing was written about how it ended. */
  reboot(): void {
    this.units.clear();
    this.exits.clear();
  }

  filesOf(plan: UnitPlan): Map<string, string> {
    const upper = plan.root.upperDir ?? plan.root.upperDisk ?? plan.root.disk?.file ?? plan.id;
    const files = this.uppers.get(upper) ?? new Map<string, string>();
    this.uppers.set(upper, files);
    return files;
  }

  /** Everything of this host that runs must have an id range to itself. */
  assertOwnRange(plan: UnitPlan): void {
    const base = plan.network.sandbox?.idBase;
    for (const [id, unit] of this.units) {
      if (base !== undefined && id !== plan.id && unit.exit === undefined && unit.plan.network.sandbox?.idBase === base) throw new Error(`units ${id} and ${plan.id} share the ids from ${base}`);
    }
  }
}

export function fakeRuntime(host: FakeRuntimeHost): RuntimeDriver {
  return new FakeRuntime(host);
}

class FakeRuntime implements RuntimeDriver {
  readonly name = 'fake';
  readonly #host: FakeRuntimeHost;

  constructor(host: FakeRuntimeHost) {
    this.#host = host;
  }

  async available(form: Form, firmware?: DiskRootPlan['firmware']): ReturnType<RuntimeDriver['available']> {
    const { forms, boundary } = this.#host.parts;
    if (firmware !== undefined && this.#host.missingFirmware.has(firmware)) return { ok: false, reason: `it has no ${firmware} firmware.`, hint: 'Install it.' };
    if (this.#host.unavailable !== undefined) return { ok: false, reason: this.#host.unavailable, hint: 'Use another host.' };
    return forms.includes(form) ? { ok: true, boundary, noDirectories: this.#host.noDirectories } : { ok: false, reason: 'this fake does not make them.', hint: 'Use another form.' };
  }

  async create(plan: UnitPlan, signal?: AbortSignal): Promise<UnitInfo> {
    const host = this.#host;
    if (!isObjectId(plan.id)) throw new BerthError('invalid', 'That is not an id.');
    signal?.throwIfAborted();
    const seen = await this.observe(plan.id);
    if (seen.state === 'created') return seen.info;
    if ('info' in seen) throw new BerthError('wrongState', `${plan.name} runs already.`);
    const command = plan.process.args[0] ?? '';
    const unusable = plan.root.disk === undefined ? (host.parts.lookUp ?? lookUp)(command) : undefined;
    if (unusable === 127) throw new BerthError('notFound', `There is no program '${command}' in the image.`, { details: { exitCode: 127 } });
    if (unusable === 126) throw new BerthError('invalid', `The program '${command}' cannot be run.`, { details: { exitCode: 126 } });
    host.assertOwnRange(plan);
    const log = host.logs.get(plan.id) ?? [];
    host.logs.set(plan.id, log);
    const pid = host.nextPid++;
    const { boundary } = host.parts;
    const { sandbox } = plan.network;
    const info: UnitInfo = { process: { pid, startTicks: pid * 10 }, monitor: { pid: host.nextPid++, startTicks: pid * 10 }, boundary, ...(sandbox === undefined ? {} : { idRange: { base: sandbox.idBase, count: sandbox.idCount } }), ...(boundary === 'kernel' ? {} : { accelerator: 'tcg', kernel: 'fake' }) };
    host.exits.delete(plan.id);
    host.units.set(plan.id, new FakeUnit(plan, info, log, host.filesOf(plan), host.parts.nowMs));
    return info;
  }

  async start(id: ObjectId): Promise<void> {
    const unit = this.#host.units.get(id);
    if (unit === undefined || unit.exit !== undefined) throw new BerthError('wrongState', 'Nothing waits to be started.');
    unit.start(this.#host.parts.after, this.#host.parts.programs);
  }

  async remove(id: ObjectId, { keepLog, keepExit = false }: RemoveOptions): Promise<void> {
    const unit = this.#host.units.get(id);
    unit?.process.freeze(false);
    unit?.process.exit(137, 'killed');
    const exit = keepExit ? (await unit?.ended ?? this.#host.exits.get(id)) : undefined;
    if (exit?.exitCode === undefined) this.#host.exits.delete(id);
    else this.#host.exits.set(id, exit);
    this.#host.units.delete(id);
    if (!keepLog) this.#host.logs.delete(id);
  }

  async observe(id: ObjectId): Promise<Observed> {
    const unit = this.#host.units.get(id);
    const kept = this.#host.exits.get(id);
    if (unit === undefined) return kept === undefined ? { state: 'absent' } : { state: 'exited', exit: kept };
    if (unit.exit !== undefined) return { state: 'exited', exit: unit.exit };
    if (unit.process.end !== undefined) return { state: 'exited', exit: await unit.ended };
    const { info } = unit;
    return unit.monitorAlive ? { state: unit.state, info } : { state: 'unsupervised', info };
  }

  async waitExit(id: ObjectId, signal?: AbortSignal, unsupervised?: () => void): Promise<ExitRecord> {
    const unit = this.#host.units.get(id);
    if (unit === undefined) throw new BerthError('notFound', `There is no unit ${id}.`);
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      void unit.ended.then(resolve);
      void unit.monitorLost.then(() => { if (unit.exit === undefined) unsupervised?.(); });
    });
  }

  async signal(id: ObjectId, signal: string): Promise<void> {
    const { process } = signal === 'SIGKILL' ? this.#alive(id) : this.#withAgent(id);
    process.signal(signal);
  }

  /** The power button. */
  async powerOff(id: ObjectId): Promise<void> {
    this.#alive(id).process.exit(0, 'poweroff');
  }

  async screenshot(id: ObjectId): Promise<Uint8Array> {
    if (this.#alive(id).plan.root.disk === undefined) throw new BerthError('unsupported', 'It has no screen.');
    return SCREEN;
  }

  async pause(id: ObjectId): Promise<void> {
    const unit = this.#alive(id);
    unit.state = 'paused';
    unit.process.freeze(true);
  }

  async resume(id: ObjectId): Promise<void> {
    const unit = this.#alive(id);
    unit.state = 'running';
    unit.process.freeze(false);
  }

  async attach(id: ObjectId): ReturnType<RuntimeDriver['attach']> {
    const unit = this.#host.units.get(id);
    if (unit === undefined) throw new BerthError('wrongState', 'Nothing runs that could be attached to.');
    return unit.attach();
  }

  async exec(id: ObjectId, plan: ExecPlan): Promise<ExecSession> {
    const unit = this.#withAgent(id);
    if (unit.state !== 'running') throw new BerthError('wrongState', `It is ${unit.state}.`);
    const output = new ChunkPipe<OutputChunk>();
    const process = new FakeProcess({ args: plan.args, env: plan.env, place: unit.place(plan), sink: (chunk) => output.push(chunk, chunk.data.length) });
    if (!plan.stdin) process.input.end();
    unit.execs.add(process);
    const exit = process.exited.then(({ exitCode }) => {
      unit.execs.delete(process);
      output.end();
      return { exitCode };
    });
    const unusable = (this.#host.parts.lookUp ?? lookUp)(plan.args[0] ?? '');
    if (unusable === undefined) runProgram(process, this.#host.parts.after, this.#host.parts.programs);
    else void process.write('stderr', `${plan.args[0]}: ${unusable === 127 ? 'not found' : 'not a program'}\n`).then(() => process.exit(unusable));
    return {
      output, exit,
      write: async (data) => {
        if (process.input.ended) throw new BerthError('wrongState', 'Its input is closed.');
        await process.input.push(data, data.length);
      },
      endInput: async () => process.input.end(),
      resize: async (size) => { unit.size = size; },
      signal: async (name) => {
        if (process.end !== undefined) throw new BerthError('wrongState', 'The process has ended.');
        process.signal(name);
      },
      close: async () => {
        process.exit(137, 'killed');
        output.cancel();
      },
    };
  }

  copyOut(id: ObjectId, request: CopyOutRequest, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    return copyOutOf((plan) => this.exec(id, plan), request, signal);
  }

  copyIn(id: ObjectId, request: CopyInRequest, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    return copyInto((plan) => this.exec(id, plan), request, tar, signal);
  }

  async resize(id: ObjectId, size: { readonly rows: number; readonly columns: number }): Promise<void> {
    const unit = this.#withAgent(id);
    if (!unit.plan.process.terminal) throw new BerthError('wrongState', 'It has no terminal.');
    unit.size = size;
  }

  async update(id: ObjectId, resources: ResourcePlan): Promise<readonly (keyof ResourcePlan)[]> {
    const unit = this.#alive(id);
    if ((resources.memoryBytes ?? Infinity) < unit.memoryBytes) throw new BerthError('wrongState', 'It uses more memory than the new limit.');
    unit.resources = resources;
    if (this.#host.parts.boundary === 'kernel') return [];
    const { memoryBytes, cpus } = unit.plan.resources;
    return [
      ...((resources.memoryBytes ?? 0) > (memoryBytes ?? 0) ? ['memoryBytes' as const] : []),
      ...((resources.cpus ?? 1) > Math.ceil(cpus ?? 1) ? ['cpus' as const] : []),
    ];
  }

  async stats(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitStats>> {
    const live = ids.filter((id) => this.#host.units.get(id)?.exit === undefined && this.#host.units.has(id));
    return new Map(live.map((id) => {
      const unit = this.#host.units.get(id)!;
      unit.cpuNanoseconds += 10_000_000;
      return [id, { memoryBytes: unit.memoryBytes, memoryLimitBytes: unit.resources.memoryBytes, cpuNanoseconds: unit.cpuNanoseconds, pids: 1 + unit.execs.size, oomKills: 0 }];
    }));
  }

  async processes(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitProcesses>> {
    return new Map(ids.flatMap((id) => {
      const unit = this.#host.units.get(id);
      if (unit === undefined || unit.process.end !== undefined) return [];
      const all = [{ args: unit.plan.process.args, uid: unit.plan.process.user.uid }, ...[...unit.execs].map((one) => ({ args: one.args, uid: 0 }))];
      const processes = all.map(({ args, uid }, index) => ({ pid: index + 1, parentPid: 0, uid, state: 'S', cpuMs: 10, ageMs: 1000, residentBytes: 1024, command: args.join(' ') }));
      const isVm = unit.info.boundary !== 'kernel';
      return [[id, { processes, isPartial: false, ...(isVm ? { machine: { ...processes[0]!, pid: unit.info.process.pid, uid: 0, command: 'qemu' } } : {}) }]];
    }));
  }

  async logFiles(id: ObjectId): Promise<readonly string[]> {
    return this.#host.logs.has(id) ? [`/fake/logs/${id}`] : [];
  }

  async rotateLog(): Promise<void> {
    // Logs in memory are as long as a test makes them.
  }

  async leftovers(known: ReadonlySet<ObjectId>): Promise<readonly string[]> {
    return [
      ...[...this.#host.units.keys()].filter((id) => !known.has(id)).map((id) => `unit ${id}`),
      ...[...this.#host.exits.keys()].filter((id) => !known.has(id)).map((id) => `exit record ${id}`),
      ...[...this.#host.logs.keys()].filter((id) => !known.has(id)).map((id) => `log ${id}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing that runs belongs to the driver.
  }

  #alive(id: ObjectId): FakeUnit {
    const unit = this.#host.units.get(id);
    if (unit === undefined || unit.process.end !== undefined) throw new BerthError('wrongState', 'Nothing runs.');
    return unit;
  }

  #withAgent(id: ObjectId): FakeUnit {
    const unit = this.#alive(id);
    if (unit.plan.root.disk !== undefined) throw noAgent(unit.plan.name);
    return unit;
  }
}
