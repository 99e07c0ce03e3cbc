/**
 * microVMs and VMs by QEMU. A unit is: conmon → watcher (native/vm.c) → QEMU → the guest's agent → the workload. The watcher is
 * what conmon monitors, and it ends with the workload's exit code, so exit files, logs and attach are a container's.
 * The daemon talks to the agent for what happens inside and needs it for nothing that must not fail: ending a machine
 * never waits for its guest.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../../../model/errors.ts';
import { isObjectId, makeObjectId, type ObjectId } from '../../../model/ids.ts';
import type { Form } from '../../../model/forms.ts';
import { removeDirectory } from '../../../host/files.ts';
import { attachMonitored, dropParkedInput } from '../../../host/monitor-attach.ts';
import { MonitorExits } from '../../../host/monitor-exit.ts';
import { monitorLogFiles, rotateMonitorLog } from '../../../host/monitor-log.ts';
import { monitorIdentity } from '../../../host/monitor.ts';
import { isAlive, signalProcess } from '../../../host/process.ts';
import type { VirtiofsdProgram } from '../../../host/virtiofsd.ts';
import { timeStampCounterKhz } from '../../../host/tsc.ts';
import type {
  CopyInRequest, CopyOutRequest, DiskRootPlan, ExecPlan, ExecSession, ExitRecord, IoSession, Observed, RemoveOptions, ResourcePlan, RuntimeDriver, TemplateInfo, TerminalSize, UnitInfo, UnitPlan, UnitProcesses, UnitStats,
} from '../driver.ts';
import type { BootState } from '../program-inside.ts';
import { copyInto, copyOutOf } from '../unit-files.ts';
import { AgentGuest } from './agent-guest.ts';
import { bootRecord, bootUnit, type BootParts } from './boot-unit.ts';
import { diskLaunchPlan } from './disk-machine.ts';
import { exitRecord, readReason } from './exit-record.ts';
import { missingFirmware, prepareDisk } from './firmware.ts';
import { foreignGuest } from './foreign-guest.ts';
import type { Guest, Machine } from './guest.ts';
import { linuxSignal } from './linux-numbers.ts';
import { machineProcesses } from './machine-processes.ts';
import { checkPlan, launchPlan, type WarmParts } from './machine.ts';
import { blankPlan, makeTemplate, type TemplateFiles } from './make-template.ts';
import { DEADLINES, type GuestKernelFiles, type MicroVmDeadlines, type MicroVmRuntimeOptions } from './microvm-options.ts';
import { qmpCommand } from './qmp.ts';
import { screenshot } from './screenshot.ts';
import type { Template } from './template-store.ts';
import { comesTrue, endProcesses, gone, qemuIdentity } from './unit-processes.ts';
import { boundaryOf, readRecord, runtimePaths, writeRecord, type RuntimePaths, type UnitPaths, type UnitRecord } from './unit-record.ts';
import type { LaunchPlan } from './vm-plan.ts';
import { WarmStarts } from './warm-starts.ts';

const TEMPLATE_DELAY_MS = 1_000;
/** On the root's disk. What an earlier boot of the host left there is of no use. */
const TEMPLATES = 'templates';

/** A program of ours has to start in the guest, which may be emulated and busy. */
const TELL_MS = 5_000;

export class MicroVmRuntime implements RuntimeDriver {
  readonly name = 'qemu';
  readonly #options: MicroVmRuntimeOptions;
  readonly #deadlines: MicroVmDeadlines;
  readonly #paths: RuntimePaths;
  readonly #exits: MonitorExits;
  readonly #agents: AgentGuest;
  readonly #records = new Map<ObjectId, UnitRecord>();
  /** Machines that become templates. */
  readonly #blanks = new Set<ObjectId>();
  readonly #warm: WarmStarts;
  readonly #swept: Promise<void>;
  #kernel: Promise<GuestKernelFiles> | undefined;
  readonly #ownKernels = new Map<string, Promise<GuestKernelFiles>>();
  #tscKhz: Promise<number> | undefined;
  #kept: Promise<void> | undefined;

  constructor(options: MicroVmRuntimeOptions) {
    this.#options = options;
    this.#deadlines = { ...DEADLINES, ...options.deadlines };
    this.#agents = new AgentGuest(this.#deadlines, options.timings);
    this.#paths = runtimePaths(options.rootDir, options.runDir);
    this.#exits = new MonitorExits(this.#paths.exits);
    fs.mkdirSync(this.#paths.units, { recursive: true, mode: 0o700 });
    this.#warm = new WarmStarts({
      mode: options.warmStart, dir: options.templateDir ?? path.join(options.rootDir, TEMPLATES), qemu: options.qemu, limits: options.templateLimits, delayMs: options.templateDelayMs ?? TEMPLATE_DELAY_MS,
      make: (plan, files, signal) => this.#makeTemplate(plan, files, signal), timings: options.timings, complain: options.complain ?? (() => undefined),
    });
    this.#swept = this.#sweep();
    this.#swept.catch(() => undefined);
  }

  async available(form: Form, firmware?: DiskRootPlan['firmware']): ReturnType<RuntimeDriver['available']> {
    if (form !== 'microVM' && form !== 'vm') return { ok: false, reason: 'This runtime makes microVMs and VMs only.', hint: 'Other forms have other runtimes.' };
    if (!fs.existsSync(this.#options.qemu)) return { ok: false, reason: `${this.#options.qemu} is not installed.`, hint: '`berth up` installs it.' };
    const missing = firmware === undefined ? undefined : missingFirmware(firmware, this.#options.firmware);
    if (missing !== undefined) return { ok: false, ...missing };
    try {
      if (firmware === undefined) await this.#guestKernel();
      const sharing = await this.#options.sharing();
      return { ok: true, boundary: boundaryOf(await this.#options.accelerator()), ...(sharing.ok ? {} : { noDirectories: { reason: sharing.reason, hint: sharing.hint } }) };
    } catch (error) {
      const known = error instanceof BerthError ? error : undefined;
      return { ok: false, reason: known?.message ?? 'The guests\' kernel could not be prepared.', hint: known?.hint ?? '`berth doctor` says more.' };
    }
  }

  async create(plan: UnitPlan, signal?: AbortSignal): Promise<UnitInfo> {
    checkPlan(plan);
    const before = await this.observe(plan.id);
    if (before.state === 'created') return before.info;
    if (before.state !== 'absent' && before.state !== 'exited') throw new BerthError('wrongState', 'The machine runs already.');
    // What a crash left half made, or an earlier run of the same unit.
    await this.remove(plan.id, { keepLog: true });
    try {
      const key = await this.#templateKey(plan);
      const resumed = key === undefined ? undefined : await this.#resume(plan, key, signal);
      if (resumed !== undefined) return resumed;
      for (let attempt = 1; ; attempt++) {
        try {
          const info = await this.#boot(plan, signal);
          if (key !== undefined) this.#warm.wish(key, plan);
          return info;
        } catch (error) {
          // Emulated guests hang while they boot now and then: one more try, from nothing.
          if (attempt === 2 || signal?.aborted === true || !(error instanceof BerthError && error.details?.['boot'] === true)) throw error;
          await this.remove(plan.id, { keepLog: true });
        }
      }
    } catch (error) {
      await this.remove(plan.id, { keepLog: true });
      throw error;
    }
  }

  async start(id: ObjectId): Promise<void> {
    const machine = this.#known(id);
    if (fs.existsSync(machine.unit.started)) return;
    await this.#guest(machine).start(machine);
    fs.writeFileSync(machine.unit.started, '');
  }

  async remove(id: ObjectId, options: RemoveOptions): Promise<void> {
    const unit = this.#paths.unit(id);
    this.#agents.hangUp(id);
    const record = this.#record(id);
    await endProcesses(unit, record, this.#exits.read(id) === undefined, this.#deadlines.endMs);
    const ended = record === undefined ? this.#keptExit(id) : { state: 'exited' as const, exit: this.#exit(id, unit) }; // while the control group still tells why
    const exit = options.keepExit === true && ended.state === 'exited' ? ended.exit : undefined;
    this.#options.groups.kill(id);
    if (!await comesTrue(() => this.#options.groups.remove(id), this.#deadlines.endMs)) throw new BerthError('timeout', 'The control group of the machine did not empty.');
    dropParkedInput(unit.dir);
    await removeDirectory(unit.dir);
    if (exit?.exitCode !== undefined) this.#exits.keep(id, { ...exit, exitCode: exit.exitCode });
    else if (options.keepExit !== true || record !== undefined) this.#exits.forget(id);
    if (!options.keepLog) fs.rmSync(unit.logDir, { recursive: true, force: true });
    this.#records.delete(id);
    if (record !== undefined) await this.#options.uids.give(record.uid);
    if (record?.idBase !== undefined) await this.#options.idRanges.give(record.idBase);
  }

  async observe(id: ObjectId): Promise<Observed> {
    const unit = this.#paths.unit(id), record = this.#record(id);
    // A boot that was cut short never was a machine.
    if (record === undefined || !fs.existsSync(unit.made)) return this.#keptExit(id);
    const monitor = monitorIdentity(unit.dir), qemu = qemuIdentity(unit, record);
    if (qemu !== undefined && this.#exits.read(id) === undefined) {
      const info: UnitInfo = { process: qemu, monitor: monitor ?? { pid: 0, startTicks: 0 }, boundary: boundaryOf(record), accelerator: record.accelerator, kernel: record.kernel, start: record.start };
      if (monitor === undefined) return { state: 'unsupervised', info };
      return { state: fs.existsSync(unit.started) ? (fs.existsSync(unit.paused) ? 'paused' : 'running') : 'created', info };
    }
    // Between QEMU's end and conmon's record the monitor has the last word.
    if (monitor !== undefined && this.#exits.read(id) === undefined && fs.existsSync(unit.qemuPid)) await comesTrue(() => this.#exits.read(id) !== undefined || !isAlive(monitor), 2_000);
    return { state: 'exited', exit: this.#exit(id, unit) };
  }

  async waitExit(id: ObjectId, signal?: AbortSignal, unsupervised?: () => void): Promise<ExitRecord> {
    const unit = this.#paths.unit(id), record = this.#record(id);
    if (record === undefined) throw new BerthError('notFound', 'There is no such machine.');
    const waits = new AbortController();
    const leave = (): void => { waits.abort(signal!.reason); };
    signal?.addEventListener('abort', leave, { once: true });
    if (signal?.aborted === true) leave();
    // Without a monitor no record will come: then the end of the processes is the end.
    const looks = setInterval(() => {
      if (monitorIdentity(unit.dir) !== undefined) return;
      if (qemuIdentity(unit, record) === undefined) waits.abort(GONE);
      else unsupervised?.();
    }, 1_000);
    try {
      const monitored = await this.#exits.wait(id, waits.signal);
      return exitRecord(readReason(unit.reason), monitored, this.#options.groups.oomKills(id));
    } catch (error) {
      if (error !== GONE) throw error;
      return this.#exit(id, unit);
    } finally {
      clearInterval(looks);
      signal?.removeEventListener('abort', leave);
    }
  }

  async signal(id: ObjectId, signal: string): Promise<void> {
    const machine = this.#known(id), { unit, record } = machine;
    const number = linuxSignal(signal);
    const qemu = qemuIdentity(unit, record);
    if (qemu === undefined) throw new BerthError('wrongState', 'Nothing runs that could take a signal.');
    if (signal !== 'SIGKILL') {
      if (fs.existsSync(unit.paused)) throw new BerthError('wrongState', 'A paused machine takes no signal.', { hint: 'Resume it first, or send SIGKILL.' });
      await this.#guest(machine).signal(machine, number);
      return;
    }
    // The agent ends the workload and leaves its disk clean; a guest that does not go is ended from outside.
    const asked = fs.existsSync(unit.paused) || !fs.existsSync(unit.started) ? Promise.reject(new BerthError('wrongState', 'Nobody to ask.')) : this.#guest(machine).endWorkload(machine);
    const clean = await asked.then(() => gone(qemu, this.#deadlines.answerMs), () => false);
    if (!clean) signalProcess(qemu, 'SIGKILL');
  }

  async powerOff(id: ObjectId): Promise<void> {
    const machine = this.#awake(id);
    await this.#guest(machine).powerOff(machine);
  }

  async booted(id: ObjectId, timeoutMs: number): Promise<BootState> {
    const machine = this.#awake(id);
    return this.#guest(machine).booted(machine, timeoutMs);
  }

  async screenshot(id: ObjectId): Promise<Uint8Array> {
    const { unit, record } = this.#running(id, 'created');
    if (record.foreign !== true) throw new BerthError('unsupported', 'A machine made from layers has no screen: all that it says is on its console.', { hint: '`berth console NAME`, or `berth logs NAME`.' });
    return screenshot(unit.qmpSocket);
  }

  async pause(id: ObjectId): Promise<void> {
    const { unit } = this.#running(id);
    if (fs.existsSync(unit.paused)) return;
    fs.writeFileSync(unit.paused, '');
    try {
      await qmpCommand(unit.qmpSocket, 'stop');
    } catch (error) {
      fs.rmSync(unit.paused, { force: true });
      throw error;
    }
  }

  async resume(id: ObjectId): Promise<void> {
    const machine = this.#running(id);
    await qmpCommand(machine.unit.qmpSocket, 'cont');
    fs.rmSync(machine.unit.paused, { force: true });
    this.#guest(machine).resumed(machine);
  }

  async attach(id: ObjectId): Promise<IoSession> {
    const { unit } = this.#running(id, 'created');
    const attachment = attachMonitored(unit.dir, { keepInput: true });
    return {
      write: (data) => attachment.write(data),
      endInput: () => attachment.endInput(),
      resize: (size) => this.resize(id, size),
      output: attachment.output,
      close: async () => { attachment.close(); },
    };
  }

  async exec(id: ObjectId, plan: ExecPlan): Promise<ExecSession> {
    const machine = this.#awake(id);
    return this.#guest(machine).exec(machine, plan);
  }

  copyOut(id: ObjectId, request: CopyOutRequest, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    return copyOutOf((plan) => this.exec(id, plan), request, signal);
  }

  copyIn(id: ObjectId, request: CopyInRequest, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    return copyInto((plan) => this.exec(id, plan), request, tar, signal);
  }

  async resize(id: ObjectId, size: TerminalSize): Promise<void> {
    const machine = this.#running(id, 'created');
    await this.#guest(machine).resize(machine, size);
  }

  async update(id: ObjectId, resources: ResourcePlan): Promise<readonly (keyof ResourcePlan)[]> {
    const machine = this.#running(id, 'created');
    if (fs.existsSync(machine.unit.paused)) throw new BerthError('wrongState', 'A paused machine takes no new limits.', { hint: 'Resume it first.' });
    const updated = await this.#guest(machine).update(machine, resources, this.#options.groups);
    writeRecord(machine.unit.record, updated.record);
    this.#records.set(id, updated.record);
    return updated.waits;
  }

  async stats(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitStats>> {
    const found = await Promise.all(ids.map(async (id): Promise<readonly [ObjectId, UnitStats] | undefined> => {
      const stats = this.#options.groups.stats(id), record = this.#record(id);
      if (stats === undefined || record === undefined) return undefined;
      // What the guest claims about itself is a label beside what the host measured; it may not hold the rest up.
      const machine = { id, unit: this.#paths.unit(id), record };
      const claimed = fs.existsSync(machine.unit.started) && !fs.existsSync(machine.unit.paused) ? await this.#guest(machine).claims(machine) : undefined;
      return [id, {
        memoryBytes: stats.memoryBytes, memoryLimitBytes: record.memoryLimitBytes, cpuNanoseconds: stats.cpuNanoseconds,
        pids: claimed?.pids ?? 0, oomKills: stats.oomKills + (claimed?.oomKills ?? 0),
        ...(claimed === undefined ? {} : { insideMemoryBytes: Math.max(0, claimed.memoryTotalBytes - claimed.memoryAvailableBytes), claimed: ['pids', 'oomKills', 'insideMemoryBytes'] }),
      }];
    }));
    return new Map(found.filter((one) => one !== undefined));
  }

  processes(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitProcesses>> {
    return machineProcesses(this.#options.nativeProgram, ids.flatMap((id) => {
      const unit = this.#paths.unit(id), record = this.#record(id);
      const qemu = record === undefined ? undefined : qemuIdentity(unit, record);
      if (record === undefined || qemu === undefined || !fs.existsSync(unit.started)) return [];
      const machine = { id, unit, record };
      return [{ id, pid: qemu.pid, guest: fs.existsSync(unit.paused) ? 'It is paused.' : this.#guest(machine).inside(machine, TELL_MS) }];
    }));
  }

  async logFiles(id: ObjectId): Promise<readonly string[]> {
    return monitorLogFiles(this.#paths.unit(id).logDir);
  }

  async rotateLog(id: ObjectId): Promise<void> {
    const record = this.#record(id);
    if (record !== undefined) rotateMonitorLog(this.#paths.unit(id).logDir, record.log);
  }

  ownUnits(): readonly ObjectId[] {
    return [...this.#blanks];
  }

  async leftovers(known: ReadonlySet<ObjectId>): Promise<readonly string[]> {
    await this.#swept;
    const owned = (id: string): boolean => known.has(id as ObjectId) || this.#blanks.has(id as ObjectId);
    const strangers = (names: readonly string[], where: string): readonly string[] => names.filter((name) => !owned(name)).map((name) => `${where}/${name}`);
    return [
      ...strangers(fs.readdirSync(this.#paths.units), this.#paths.units), ...strangers(this.#exits.ids(), this.#paths.exits),
      ...this.#options.groups.ids().filter((id) => !owned(id)).map((id) => `control group ${id}`),
    ];
  }

  templateUsage(): { readonly count: number; readonly bytes: number } {
    return this.#warm.usage();
  }

  templates(): readonly TemplateInfo[] {
    return this.#warm.list();
  }

  pruneTemplates(usedBeforeMs: number): Promise<readonly TemplateInfo[]> {
    return this.#warm.prune(usedBeforeMs);
  }

  /** Resolves when no template is being made. */
  async templatesMade(): Promise<void> {
    await this.#warm.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#warm[Symbol.asyncDispose]();
    await this.#swept;
    this.#agents[Symbol.dispose]();
    this.#exits[Symbol.dispose]();
  }

  #guest({ record }: Pick<Machine, 'record'>): Guest {
    return record.foreign === true ? foreignGuest : this.#agents;
  }

  async #boot(plan: UnitPlan, signal: AbortSignal | undefined, template?: Template): Promise<UnitInfo> {
    return bootUnit(plan, { ...await this.#bootParts(plan, signal, template === undefined ? 'cold' : 'warm'), template });
  }

  async #bootParts(plan: UnitPlan, signal: AbortSignal | undefined, start: 'cold' | 'warm'): Promise<BootParts> {
    await this.#keepUids();
    const { accelerator } = await this.#options.accelerator(), { disk } = plan.root;
    const virtiofsd = plan.mounts.length === 0 ? undefined : await this.#virtiofsd();
    const shape = disk === undefined ? await this.#kernelShape(accelerator, plan.kernelDir, virtiofsd) : await this.#diskShape(disk);
    const ids = { uid: await this.#options.uids.take(), ...(virtiofsd === undefined ? {} : { idBase: await this.#options.idRanges.take() }) };
    const record = bootRecord(plan, ids, accelerator, shape.kernel, start);
    this.#records.set(plan.id, record);
    return {
      options: this.#options, deadlines: this.#deadlines, unit: this.#paths.unit(plan.id), exitDir: this.#paths.exits, record, guest: this.#guest({ record }), signal,
      launch: (cgroupFiles, warm) => shape.launch(plan, record, cgroupFiles, warm),
    };
  }

  /** Our kernel or its own, our agent, the image's layers. */
  async #kernelShape(accelerator: 'kvm' | 'tcg', kernelDir: string | undefined, virtiofsd: VirtiofsdProgram | undefined): Promise<MachineShape> {
    const { qemu, nativeProgram } = this.#options;
    const { release, vmlinux, initramfs } = kernelDir === undefined ? await this.#guestKernel() : await this.#ownKernel(kernelDir);
    const tscKhz = accelerator === 'tcg' ? await (this.#tscKhz ??= timeStampCounterKhz(nativeProgram)) : 0;
    return { kernel: release, launch: (plan, record, cgroupFiles, warm) => launchPlan(plan, record, { qemu, vmlinux, initramfs, tscKhz, cgroupFiles, virtiofsd }, warm) };
  }

  async #virtiofsd(): Promise<VirtiofsdProgram> {
    const sharing = await this.#options.sharing();
    if (sharing.ok) return sharing.program;
    throw new BerthError('unsupported', sharing.reason, { hint: sharing.hint });
  }

  /** Firmware, and whatever lies on the disk. */
  async #diskShape(disk: DiskRootPlan): Promise<MachineShape> {
    const { qemu, firmware } = this.#options;
    await prepareDisk(disk, firmware);
    return { kernel: undefined, launch: (plan, record, cgroupFiles) => diskLaunchPlan(plan, disk, record, { qemu, firmware, cgroupFiles }) };
  }

  /** A warm start is a gift: where it cannot be had, for whatever reason, the machine boots. */
  async #templateKey(plan: UnitPlan): Promise<string | undefined> {
    if (plan.root.disk !== undefined) return undefined;
    try {
      await this.#swept;
      return await this.#warm.key(plan, (await this.#options.accelerator()).accelerator, await this.#guestKernel(), plan.kernelDir === undefined ? undefined : await this.#ownKernel(plan.kernelDir));
    } catch {
      return undefined;
    }
  }

  async #resume(plan: UnitPlan, key: string, signal: AbortSignal | undefined): Promise<UnitInfo | undefined> {
    const template = this.#warm.find(key);
    if (template === undefined) return undefined;
    try {
      const info = await this.#boot(plan, signal, template);
      this.#warm.resumed(key);
      return info;
    } catch (error) {
      // A guest that says no to what it was asked would say so after a boot too.
      if (signal?.aborted === true || (error instanceof BerthError && (error.code === 'notFound' || error.code === 'invalid'))) throw error;
      await this.#warm.spoilt(key, error);
      await this.remove(plan.id, { keepLog: true });
      return undefined;
    }
  }

  async #makeTemplate(like: UnitPlan, files: TemplateFiles, signal: AbortSignal): Promise<string> {
    const id = makeObjectId(randomBytes(16)), unit = this.#paths.unit(id);
    this.#blanks.add(id);
    fs.mkdirSync(unit.dir, { mode: 0o700 });
    fs.writeFileSync(unit.template, '');
    try {
      const plan = blankPlan(like, id, path.join(unit.dir, 'blank'));
      const parts = await this.#bootParts(plan, signal, 'cold');
      await makeTemplate(plan, files, parts);
      return parts.record.nonce;
    } finally {
      await this.remove(id, { keepLog: false });
      this.#blanks.delete(id);
    }
  }

  /** Templates that an earlier daemon was making when it died. */
  async #sweep(): Promise<void> {
    await this.#keepUids();
    for (const id of fs.readdirSync(this.#paths.units).filter(isObjectId)) if (fs.existsSync(this.#paths.unit(id).template)) await this.remove(id, { keepLog: false });
    const templates = path.join(this.#options.rootDir, TEMPLATES);
    if (this.#options.warmStart === 'off') await fs.promises.rm(templates, { recursive: true, force: true });
    // Without a kernel there will be no machine either.
    else if (fs.existsSync(templates)) await this.#guestKernel().then((kernel) => this.#warm.settle(kernel), () => undefined);
  }

  #guestKernel(): Promise<GuestKernelFiles> {
    this.#kernel ??= this.#options.kernel().catch((error: unknown) => {
      this.#kernel = undefined;
      throw error;
    });
    return this.#kernel;
  }

  async #ownKernel(dir: string): Promise<GuestKernelFiles> {
    const known = await this.#ownKernels.get(dir)?.catch(() => undefined);
    // Its image may have gone meanwhile, and have come again.
    if (known !== undefined && fs.existsSync(known.initramfs)) return known;
    const opened = this.#options.ownKernel(dir);
    this.#ownKernels.set(dir, opened);
    return opened;
  }

  /** Machines of an earlier daemon keep their user ids. */
  #keepUids(): Promise<void> {
    this.#kept ??= Promise.all(fs.readdirSync(this.#paths.units).filter(isObjectId).map(async (id) => {
      const record = this.#record(id);
      if (record !== undefined) await this.#options.uids.keep(record.uid);
      if (record?.idBase !== undefined) await this.#options.idRanges.keep(record.idBase);
    })).then(() => undefined);
    return this.#kept;
  }

  #record(id: ObjectId): UnitRecord | undefined {
    const record = this.#records.get(id) ?? readRecord(this.#paths.unit(id).record);
    if (record !== undefined) this.#records.set(id, record);
    return record;
  }

  #known(id: ObjectId): Machine {
    const record = this.#record(id);
    if (record === undefined) throw new BerthError('wrongState', 'There is no such machine.');
    return { id, unit: this.#paths.unit(id), record };
  }

  #running(id: ObjectId, least: 'created' | 'started' = 'started'): Machine {
    const known = this.#known(id);
    if (qemuIdentity(known.unit, known.record) === undefined || (least === 'started' && !fs.existsSync(known.unit.started))) throw new BerthError('wrongState', 'The machine does not run.');
    return known;
  }

  #awake(id: ObjectId): Machine {
    const machine = this.#running(id);
    if (fs.existsSync(machine.unit.paused)) throw new BerthError('wrongState', 'A paused machine executes nothing.', { hint: 'Resume it first.' });
    return machine;
  }

  /** All else of it is gone. */
  #keptExit(id: ObjectId): Observed {
    const exit = this.#exits.read(id);
    return exit?.reason === undefined ? { state: 'absent' } : { state: 'exited', exit: { ...exit, reason: exit.reason as ExitRecord['reason'] } };
  }

  #exit(id: ObjectId, unit: UnitPaths): ExitRecord {
    return exitRecord(readReason(unit.reason), this.#exits.read(id), this.#options.groups.oomKills(id));
  }
}

interface MachineShape {
  readonly kernel: string | undefined;
  launch(plan: UnitPlan, record: UnitRecord, cgroupFiles: readonly string[], warm: WarmParts | undefined): LaunchPlan;
}

const GONE = new Error('gone');
