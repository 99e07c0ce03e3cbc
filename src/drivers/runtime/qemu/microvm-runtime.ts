/**
 * microVMs by QEMU. A unit is: conmon → watcher (native/vm.c) → QEMU → the guest's agent → the workload. The watcher is
 * what conmon monitors, and it ends with the workload's exit code, so exit files, logs and attach are a container's.
 * The daemon talks to the agent for what happens inside and needs it for nothing that must not fail: ending a machine
 * never waits for its guest.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { BerthError } from '../../../model/errors.ts';
import { encodeFields, encodeFrame, FRAME, parseStats } from '../../../model/agent-protocol.ts';
import { isObjectId, type ObjectId } from '../../../model/ids.ts';
import type { Boundary, Form } from '../../../model/forms.ts';
import type { ControlGroups, GroupLimits } from '../../../host/cgroup.ts';
import { attachMonitored, dropParkedInput } from '../../../host/monitor-attach.ts';
import { MonitorExits } from '../../../host/monitor-exit.ts';
import { monitorLogFiles, prepareMonitorLog, rotateMonitorLog } from '../../../host/monitor-log.ts';
import { monitoredPid, monitorIdentity, startMonitor } from '../../../host/monitor.ts';
import { identify, isAlive, signalProcess, type ProcessIdentity } from '../../../host/process.ts';
import { timeStampCounterKhz } from '../../../host/tsc.ts';
import type {
  ExecPlan, ExecSession, ExitRecord, IoSession, Observed, ResourcePlan, RuntimeDriver, TerminalSize, UnitInfo, UnitPlan, UnitStats,
} from '../driver.ts';
import { AgentLink } from './agent-link.ts';
import { OVERHEAD_MIB, TCG_BUFFER_MIB } from './command-line.ts';
import { startExec } from './exec-session.ts';
import { exitRecord, readReason } from './exit-record.ts';
import { setupFields, workloadFields } from './guest-fields.ts';
import { linuxSignal } from './linux-numbers.ts';
import { checkPlan, launchPlan, memoryMiB } from './machine.ts';
import { qmpCommand } from './qmp.ts';
import { boundaryOf, readRecord, runtimePaths, writeRecord, type RuntimePaths, type UnitPaths, type UnitRecord } from './unit-record.ts';
import { encodeLaunchPlan } from './vm-plan.ts';

const MIB = 1024 * 1024;

export interface GuestKernelFiles {
  readonly release: string;
  readonly vmlinux: string;
  readonly initramfs: string;
}

export interface VmUids {
  take(): Promise<number>;
  /** A machine of an earlier daemon has it. */
  keep(uid: number): Promise<void>;
  give(uid: number): Promise<void>;
}

export interface AcceleratorFinding {
  readonly accelerator: 'kvm' | 'tcg';
  readonly reason: string;
}

export interface MicroVmDeadlines {
  /** From the start of QEMU to the agent's first word; a boot that takes longer is tried once more. */
  readonly bootMs: number;
  /** Root file system, network; then the workload's program found. */
  readonly prepareMs: number;
  /** Everything else that an agent is asked. */
  readonly answerMs: number;
  /** From the kill to the exit record. */
  readonly endMs: number;
}

const DEADLINES: MicroVmDeadlines = { bootMs: 30_000, prepareMs: 20_000, answerMs: 5_000, endMs: 15_000 };

export interface MicroVmRuntimeOptions {
  readonly rootDir: string;
  readonly runDir: string;
  readonly nativeProgram: string;
  readonly conmon: string;
  readonly qemu: string;
  readonly groups: ControlGroups;
  readonly uids: VmUids;
  /** Called once, at first need. Errors say why there is none. */
  readonly kernel: () => Promise<GuestKernelFiles>;
  readonly accelerator: () => Promise<AcceleratorFinding>;
  readonly deadlines?: Partial<MicroVmDeadlines> | undefined;
}

export class MicroVmRuntime implements RuntimeDriver {
  readonly name = 'qemu';
  readonly #options: MicroVmRuntimeOptions;
  readonly #deadlines: MicroVmDeadlines;
  readonly #paths: RuntimePaths;
  readonly #exits: MonitorExits;
  readonly #links = new Map<ObjectId, Promise<AgentLink>>();
  readonly #records = new Map<ObjectId, UnitRecord>();
  #kernel: Promise<GuestKernelFiles> | undefined;
  #tscKhz: Promise<number> | undefined;
  #kept: Promise<void> | undefined;

  constructor(options: MicroVmRuntimeOptions) {
    this.#options = options;
    this.#deadlines = { ...DEADLINES, ...options.deadlines };
    this.#paths = runtimePaths(options.rootDir, options.runDir);
    this.#exits = new MonitorExits(this.#paths.exits);
    fs.mkdirSync(this.#paths.units, { recursive: true, mode: 0o700 });
  }

  async available(form: Form): Promise<{ readonly ok: true; readonly boundary: Boundary } | { readonly ok: false; readonly reason: string; readonly hint: string }> {
    if (form !== 'microVM') return { ok: false, reason: 'This runtime makes microVMs only.', hint: 'Other forms have other runtimes.' };
    if (!fs.existsSync(this.#options.qemu)) return { ok: false, reason: `${this.#options.qemu} is not installed.`, hint: '`berth up` installs it.' };
    try {
      await this.#guestKernel();
      return { ok: true, boundary: boundaryOf(await this.#options.accelerator()) };
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
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#bring(plan, signal);
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
    const { unit } = this.#known(id);
    if (fs.existsSync(unit.started)) return;
    const link = await this.#link(id);
    // An agent that runs the workload heard an earlier daemon, which died before it could note it.
    if (link.hello.state !== 'running') await link.request(FRAME.start, {}, this.#deadlines.prepareMs);
    fs.writeFileSync(unit.started, '');
  }

  async remove(id: ObjectId, options: { readonly keepLog: boolean }): Promise<void> {
    const unit = this.#paths.unit(id);
    this.#hangUp(id);
    const record = this.#record(id);
    await this.#endProcesses(id, unit, record);
    this.#options.groups.kill(id);
    await this.#until(() => this.#options.groups.remove(id), 'the control group to empty');
    dropParkedInput(unit.dir);
    fs.rmSync(unit.dir, { recursive: true, force: true });
    this.#exits.forget(id);
    if (!options.keepLog) fs.rmSync(unit.logDir, { recursive: true, force: true });
    this.#records.delete(id);
    if (record !== undefined) await this.#options.uids.give(record.uid);
  }

  async observe(id: ObjectId): Promise<Observed> {
    const unit = this.#paths.unit(id), record = this.#record(id);
    if (record === undefined) return { state: 'absent' };
    const monitor = monitorIdentity(unit.dir), qemu = this.#qemuIdentity(unit, record);
    if (qemu !== undefined && this.#exits.read(id) === undefined) {
      const info: UnitInfo = { process: qemu, monitor: monitor ?? { pid: 0, startTicks: 0 }, boundary: boundaryOf(record), accelerator: record.accelerator, kernel: record.kernel };
      if (monitor === undefined) return { state: 'unsupervised', info };
      return { state: fs.existsSync(unit.started) ? (fs.existsSync(unit.paused) ? 'paused' : 'running') : 'created', info };
    }
    // Between QEMU's end and conmon's record the monitor has the last word.
    if (monitor !== undefined && this.#exits.read(id) === undefined && fs.existsSync(unit.qemuPid)) await this.#settled(id, monitor);
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
      if (this.#qemuIdentity(unit, record) === undefined) waits.abort(GONE);
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
    const { unit, record } = this.#known(id);
    const number = linuxSignal(signal);
    const qemu = this.#qemuIdentity(unit, record);
    if (qemu === undefined) throw new BerthError('wrongState', 'Nothing runs that could take a signal.');
    if (signal !== 'SIGKILL') {
      if (fs.existsSync(unit.paused)) throw new BerthError('wrongState', 'A paused machine takes no signal.', { hint: 'Resume it first, or send SIGKILL.' });
      await (await this.#link(id)).request(FRAME.signal, { target: 0, signal: number }, this.#deadlines.answerMs);
      return;
    }
    // The agent ends the workload and leaves its disk clean; a guest that does not go is ended from outside.
    const asked = fs.existsSync(unit.paused) || !fs.existsSync(unit.started) ? Promise.reject(new BerthError('wrongState', 'Nobody to ask.'))
      : this.#link(id).then((link) => link.request(FRAME.signal, { target: 0, signal: number }, this.#deadlines.answerMs));
    const clean = await asked.then(() => this.#gone(qemu, this.#deadlines.answerMs), () => false);
    if (!clean) signalProcess(qemu, 'SIGKILL');
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
    const { unit } = this.#running(id);
    await qmpCommand(unit.qmpSocket, 'cont');
    fs.rmSync(unit.paused, { force: true });
    // The guest's clock stood still meanwhile. It may not care, and nothing depends on it.
    this.#link(id).then((link) => link.request(FRAME.clock, { 'clock-ns': String(BigInt(Date.now()) * 1_000_000n) }, this.#deadlines.answerMs)).catch(() => undefined);
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
    const { unit } = this.#running(id);
    if (fs.existsSync(unit.paused)) throw new BerthError('wrongState', 'A paused machine executes nothing.', { hint: 'Resume it first.' });
    return startExec(await this.#link(id), plan);
  }

  async resize(id: ObjectId, size: TerminalSize): Promise<void> {
    this.#running(id, 'created');
    const link = await this.#link(id);
    await link.send(encodeFrame(FRAME.resize, 0, encodeFields({ target: 0, rows: size.rows, columns: size.columns })));
  }

  async update(id: ObjectId, resources: ResourcePlan): Promise<void> {
    const { unit, record } = this.#running(id, 'created');
    const wanted = resources.memoryBytes ?? record.memoryBytes;
    if (wanted > record.memoryBytes) {
      throw new BerthError('unsupported', `This machine was started with ${Math.floor(record.memoryBytes / MIB)} MiB of memory and cannot get more while it runs.`, { hint: 'Restart it with the new limit.' });
    }
    this.#options.groups.update(id, groupLimits(record.memoryBytes, resources));
    await qmpCommand(unit.qmpSocket, 'balloon', { value: wanted });
    const changed = { ...record, memoryLimitBytes: wanted };
    writeRecord(unit.record, changed);
    this.#records.set(id, changed);
    if (!fs.existsSync(unit.paused)) await (await this.#link(id)).request(FRAME.update, { pids: resources.pids ?? 0 }, this.#deadlines.answerMs);
  }

  async stats(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitStats>> {
    const found = await Promise.all(ids.map(async (id): Promise<readonly [ObjectId, UnitStats] | undefined> => {
      const stats = this.#options.groups.stats(id), record = this.#record(id);
      if (stats === undefined || record === undefined) return undefined;
      // What the guest claims about itself is a label beside what the host measured; it may not hold the rest up.
      const claimed = await this.#claimedStats(id);
      return [id, {
        memoryBytes: stats.memoryBytes, memoryLimitBytes: record.memoryLimitBytes, cpuNanoseconds: stats.cpuNanoseconds,
        pids: claimed?.pids ?? 0, oomKills: stats.oomKills + (claimed?.oomKills ?? 0),
      }];
    }));
    return new Map(found.filter((one) => one !== undefined));
  }

  async logFiles(id: ObjectId): Promise<readonly string[]> {
    return monitorLogFiles(this.#paths.unit(id).logDir);
  }

  async rotateLog(id: ObjectId): Promise<void> {
    const record = this.#record(id);
    if (record !== undefined) rotateMonitorLog(this.#paths.unit(id).logDir, record.log);
  }

  async leftovers(known: ReadonlySet<ObjectId>): Promise<readonly string[]> {
    const strangers = (names: readonly string[], where: string): readonly string[] => names.filter((name) => !known.has(name as ObjectId)).map((name) => `${where}/${name}`);
    return [
      ...strangers(fs.readdirSync(this.#paths.units), this.#paths.units), ...strangers(this.#exits.ids(), this.#paths.exits),
      ...this.#options.groups.ids().filter((id) => !known.has(id as ObjectId)).map((id) => `control group ${id}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.#links.keys()]) this.#hangUp(id);
    this.#exits[Symbol.dispose]();
  }

  /** One try, from an empty directory to a workload that waits. */
  async #bring(plan: UnitPlan, signal: AbortSignal | undefined): Promise<UnitInfo> {
    await this.#keepUids();
    const { accelerator } = await this.#options.accelerator(), kernel = await this.#guestKernel();
    const unit = this.#paths.unit(plan.id), uid = await this.#options.uids.take();
    const record: UnitRecord = {
      uid, nonce: randomBytes(16).toString('hex'), accelerator, kernel: kernel.release, terminal: plan.process.terminal, stdin: plan.stdin,
      memoryBytes: memoryMiB(plan) * MIB, memoryLimitBytes: memoryMiB(plan) * MIB, log: plan.log,
    };
    fs.mkdirSync(unit.dir, { mode: 0o700 });
    writeRecord(unit.record, record);
    this.#records.set(plan.id, record);
    this.#options.groups.create(plan.id, groupLimits(record.memoryBytes, plan.resources));
    const joins = this.#options.groups.joinFiles(plan.id);
    const launch = launchPlan(plan, record, {
      qemu: this.#options.qemu, vmlinux: kernel.vmlinux, initramfs: kernel.initramfs, tscKhz: accelerator === 'tcg' ? await (this.#tscKhz ??= timeStampCounterKhz(this.#options.nativeProgram)) : 0,
      // A container's device list has no /dev/kvm; the machine's jail has no other device, and no right to make one.
      cgroupFiles: accelerator === 'kvm' ? joins.filter((file) => !file.includes('/devices/')) : joins,
    });
    fs.writeFileSync(unit.launchPlan, encodeLaunchPlan(launch), { mode: 0o600 });
    fs.writeFileSync(`${unit.dir}/config.json`, '{}');
    const log = prepareMonitorLog(unit.logDir, plan.log);
    const started = await startMonitor({
      conmon: this.#options.conmon, id: plan.id, dir: unit.dir, program: this.#options.nativeProgram, programArgs: ['vm'], exitDir: this.#paths.exits,
      logFile: log.logFile, logSizeMaxBytes: log.logSizeMaxBytes, terminal: plan.process.terminal, stdin: plan.stdin,
    }, { timeoutMs: this.#deadlines.prepareMs, signal });
    const process = this.#qemuIdentity(unit, record);
    try {
      const link = await AgentLink.connect(unit.agentSocket, record.nonce, this.#deadlines.bootMs, signal);
      this.#adopt(plan.id, Promise.resolve(link));
      const boot = { clockNs: BigInt(Date.now()) * 1_000_000n, seed: randomBytes(64).toString('hex') };
      const setup = link.request(FRAME.setup, setupFields(plan, boot), this.#deadlines.prepareMs);
      const workload = link.request(FRAME.create, workloadFields(plan), 2 * this.#deadlines.prepareMs);
      await Promise.all([setup, workload.catch((error: unknown) => setup.then(() => { throw error; }))]);
    } catch (error) {
      throw process === undefined || bootFailed(error) ? this.#bootError(error, unit) : error;
    }
    signal?.throwIfAborted();
    return { process: process!, monitor: started.monitor, boundary: boundaryOf(record), accelerator, kernel: kernel.release };
  }

  #bootError(cause: unknown, unit: UnitPaths): BerthError {
    let said = '';
    try {
      said = fs.readFileSync(unit.complaints, 'utf8').trim().slice(-500);
    } catch {
      // QEMU said nothing
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new BerthError('timeout', `The machine did not come up: ${reason}${said === '' ? '' : ` QEMU said: ${said}`}`, { cause, details: { boot: true } });
  }

  #guestKernel(): Promise<GuestKernelFiles> {
    this.#kernel ??= this.#options.kernel().catch((error: unknown) => {
      this.#kernel = undefined;
      throw error;
    });
    return this.#kernel;
  }

  /** Machines of an earlier daemon keep their user ids. */
  #keepUids(): Promise<void> {
    this.#kept ??= Promise.all(fs.readdirSync(this.#paths.units).filter(isObjectId).map(async (id) => {
      const record = this.#record(id);
      if (record !== undefined) await this.#options.uids.keep(record.uid);
    })).then(() => undefined);
    return this.#kept;
  }

  #record(id: ObjectId): UnitRecord | undefined {
    const record = this.#records.get(id) ?? readRecord(this.#paths.unit(id).record);
    if (record !== undefined) this.#records.set(id, record);
    return record;
  }

  #known(id: ObjectId): { readonly unit: UnitPaths; readonly record: UnitRecord } {
    const record = this.#record(id);
    if (record === undefined) throw new BerthError('wrongState', 'There is no such machine.');
    return { unit: this.#paths.unit(id), record };
  }

  #running(id: ObjectId, least: 'created' | 'started' = 'started'): { readonly unit: UnitPaths; readonly record: UnitRecord } {
    const known = this.#known(id);
    if (this.#qemuIdentity(known.unit, known.record) === undefined || (least === 'started' && !fs.existsSync(known.unit.started))) throw new BerthError('wrongState', 'The machine does not run.');
    return known;
  }

  /** QEMU of this unit: the pid that the watcher wrote, if that process has the boot's nonce among its words. */
  #qemuIdentity(unit: UnitPaths, record: UnitRecord): ProcessIdentity | undefined {
    try {
      const pid = Number(fs.readFileSync(unit.qemuPid, 'latin1'));
      const identity = Number.isSafeInteger(pid) && pid > 1 ? identify(pid) : undefined;
      if (identity === undefined || !fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`berth.nonce=${record.nonce}`)) return undefined;
      return identity;
    } catch {
      return undefined;
    }
  }

  #link(id: ObjectId): Promise<AgentLink> {
    const present = this.#links.get(id);
    if (present !== undefined) return present;
    const { unit, record } = this.#known(id);
    const link = AgentLink.connect(unit.agentSocket, record.nonce, this.#deadlines.answerMs);
    this.#adopt(id, link);
    return link;
  }

  #adopt(id: ObjectId, link: Promise<AgentLink>): void {
    this.#links.set(id, link);
    const drop = (): void => {
      if (this.#links.get(id) === link) this.#links.delete(id);
    };
    link.then((open) => open.over.then(drop), drop);
  }

  #hangUp(id: ObjectId): void {
    const link = this.#links.get(id);
    this.#links.delete(id);
    link?.then((open) => { open[Symbol.dispose](); }, () => undefined);
  }

  async #claimedStats(id: ObjectId): Promise<{ readonly pids: number; readonly oomKills: number } | undefined> {
    const unit = this.#paths.unit(id);
    if (!fs.existsSync(unit.started) || fs.existsSync(unit.paused)) return undefined;
    try {
      return parseStats(await (await this.#link(id)).requestRaw(FRAME.stats, {}, 500));
    } catch {
      return undefined;
    }
  }

  #exit(id: ObjectId, unit: UnitPaths): ExitRecord {
    return exitRecord(readReason(unit.reason), this.#exits.read(id), this.#options.groups.oomKills(id));
  }

  /** QEMU first; the watcher then ends by itself and conmon after it. Whoever does not is ended too. */
  async #endProcesses(id: ObjectId, unit: UnitPaths, record: UnitRecord | undefined): Promise<void> {
    const qemu = record === undefined ? undefined : this.#qemuIdentity(unit, record);
    const monitor = monitorIdentity(unit.dir), watcher = monitoredPid(unit.dir);
    if (qemu !== undefined) signalProcess(qemu, 'SIGKILL');
    if (monitor !== undefined && await this.#gone(monitor, this.#deadlines.endMs)) return;
    const leftover = watcher === undefined ? undefined : identify(watcher);
    if (leftover !== undefined && isWatcherOf(leftover.pid, unit.dir)) {
      signalProcess(leftover, 'SIGKILL');
      await this.#gone(leftover, this.#deadlines.endMs);
    }
    if (monitor !== undefined && isAlive(monitor)) {
      signalProcess(monitor, 'SIGKILL');
      await this.#gone(monitor, this.#deadlines.endMs);
    }
    if (qemu !== undefined && !await this.#gone(qemu, this.#deadlines.endMs)) throw new BerthError('timeout', `The machine ${id} could not be ended.`);
  }

  async #settled(id: ObjectId, monitor: ProcessIdentity): Promise<void> {
    const end = performance.now() + 2_000;
    while (this.#exits.read(id) === undefined && isAlive(monitor) && performance.now() < end) await pause(5);
  }

  async #gone(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs;
    while (isAlive(identity)) {
      if (performance.now() > end) return false;
      await pause(5);
    }
    return true;
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const end = performance.now() + this.#deadlines.endMs;
    while (!condition()) {
      if (performance.now() > end) throw new BerthError('timeout', `Waited in vain for ${what}.`);
      await pause(5);
    }
  }
}

const GONE = new Error('gone');

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

function bootFailed(error: unknown): boolean {
  return error instanceof BerthError && (error.code === 'timeout' || error.code === 'unavailable');
}

function isWatcherOf(pid: number, dir: string): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(dir);
  } catch {
    return false;
  }
}

/** The guest's RAM and what QEMU takes beside it; the number of threads is QEMU's, the guest counts its own processes. */
function groupLimits(memoryBytes: number, resources: ResourcePlan): GroupLimits {
  return {
    memoryBytes: memoryBytes + (OVERHEAD_MIB + TCG_BUFFER_MIB) * MIB,
    cpus: resources.cpus, cpuWeight: resources.cpuWeight, pids: 128,
  };
}

