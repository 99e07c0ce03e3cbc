/** Containers with crun, of applications and of whole systems, each under its own conmon. The files beside this one do the work, one verb each. */
import fs from 'node:fs';
import { attachMonitored } from '../../../host/monitor-attach.ts';
import { monitorLogFiles, rotateMonitorLog } from '../../../host/monitor-log.ts';
import { resizeMonitored } from '../../../host/monitor.ts';
import { signalProcess } from '../../../host/process.ts';
import { run, signalNumber } from '../../../host/run.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Form } from '../../../model/forms.ts';
import { isObjectId, printable, type ObjectId } from '../../../model/ids.ts';
import type {
  CopyInRequest, CopyOutRequest, ExecPlan, ExecSession, ExitRecord, IoSession, Observed, RemoveOptions, ResourcePlan, RuntimeDriver, TerminalSize, UnitInfo, UnitPlan, UnitProcesses, UnitStats,
} from '../driver.ts';
import { copyInto, copyOutOf } from '../unit-files.ts';
import { createUnit } from './create-unit.ts';
import { openCrunHost, type CrunHost } from './crun-host.ts';
import type { CrunOptions } from './crun-options.ts';
import { execInUnit } from './exec-in-unit.ts';
import { unitLeftovers } from './leftovers.ts';
import { observeUnit } from './observe-unit.ts';
import { powerOffUnit, unitBooted } from './os-life.ts';
import { removeUnit } from './remove-unit.ts';
import { seccompCompiler } from './seccomp-cache.ts';
import { startUnit } from './start-unit.ts';
import { unitProcesses } from './unit-processes.ts';
import { waitExit } from './wait-exit.ts';

const FREEZE_DEADLINE_MS = 10_000;
/** Units whose statistics are read before other work gets its turn: 7 files of memory each, 20 µs. */
const STATS_AT_ONCE = 64;

/** Errors: `unavailable` when crun is not installed, `invalid` when the directories will not do. */
export async function openCrunRuntime(options: CrunOptions): Promise<CrunRuntime> {
  const { stdout } = await run(options.crun, ['--version']);
  const version = /crun version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
  return new CrunRuntime(openCrunHost(options, seccompCompiler(version)), version);
}

export class CrunRuntime implements RuntimeDriver {
  readonly name = 'crun';
  readonly #host: CrunHost;
  readonly #version: string;

  constructor(host: CrunHost, version: string) {
    this.#host = host;
    this.#version = version;
  }

  get version(): string {
    return this.#version;
  }

  available(form: Form): ReturnType<RuntimeDriver['available']> {
    if (form !== 'appContainer' && form !== 'osContainer') return Promise.resolve({ ok: false, reason: 'crun makes containers only.', hint: 'Choose a container.' });
    const missing = [this.#host.options.crun, this.#host.options.conmon, this.#host.options.nativeProgram].find((file) => !fs.existsSync(file));
    if (missing !== undefined) return Promise.resolve({ ok: false, reason: `${missing} is not there.`, hint: '`berth up` installs and builds what is missing.' });
    return Promise.resolve({ ok: true, boundary: 'kernel' });
  }

  async create(plan: UnitPlan, signal?: AbortSignal): Promise<UnitInfo> {
    if (!isObjectId(plan.id)) throw new BerthError('invalid', `'${printable(plan.id)}' is not an id.`);
    if ((plan.volumeDisks ?? []).length > 0) throw new BerthError('unsupported', 'A disk that a guest may have written is not mounted by this host’s kernel.', { hint: 'Use a volume of type filesystem.' });
    const seen = await observeUnit(this.#host, plan.id);
    if (seen.state === 'created') return seen.info;
    if (seen.state === 'running' || seen.state === 'paused' || seen.state === 'unsupervised') throw new BerthError('wrongState', `${plan.name} runs already.`);
    // What a crash left half made, or an earlier run of the same unit.
    await removeUnit(this.#host, plan.id, { keepLog: true });
    return this.#host.timed('create', () => createUnit(this.#host, plan, signal));
  }

  start(id: ObjectId): Promise<void> {
    return this.#host.timed('start', () => startUnit(this.#host, id));
  }

  remove(id: ObjectId, options: RemoveOptions): Promise<void> {
    return this.#host.timed('remove', () => removeUnit(this.#host, id, options));
  }

  observe(id: ObjectId): Promise<Observed> {
    return observeUnit(this.#host, id);
  }

  waitExit(id: ObjectId, signal?: AbortSignal, unsupervised?: () => void): Promise<ExitRecord> {
    return waitExit(this.#host, id, signal, unsupervised);
  }

  async signal(id: ObjectId, signal: string): Promise<void> {
    if (signalNumber(signal) === undefined) throw new BerthError('invalid', `'${printable(signal)}' is not the name of a signal.`, { hint: 'Such as SIGTERM, SIGHUP or SIGKILL.' });
    const seen = await observeUnit(this.#host, id);
    if (!('info' in seen)) throw new BerthError('wrongState', 'Nothing runs that could be signalled.');
    if (!signalProcess(seen.info.process, signal)) throw new BerthError('wrongState', 'It has just ended.');
    // A frozen process takes even this only when it is thawed.
    if (signal === 'SIGKILL' && seen.state === 'paused') this.#host.groups.freeze(id, false);
  }

  powerOff(id: ObjectId): Promise<void> {
    return powerOffUnit(this.#host, id);
  }

  booted(id: ObjectId, timeoutMs: number): Promise<'running' | 'degraded' | 'starting'> {
    return unitBooted(this.#host, id, timeoutMs);
  }

  pause(id: ObjectId): Promise<void> {
    return this.#freeze(id, true);
  }

  resume(id: ObjectId): Promise<void> {
    return this.#freeze(id, false);
  }

  async attach(id: ObjectId): Promise<IoSession> {
    const record = this.#host.record(id);
    const { dir } = this.#host.paths.unit(id);
    if (record === undefined) throw new BerthError('wrongState', 'Nothing runs that could be attached to.');
    const attachment = attachMonitored(dir, { keepInput: record.stdin && !record.terminal });
    return {
      output: attachment.output,
      write: (data) => attachment.write(data),
      // The end of file of a terminal is a character; closing would take the terminal from the next client.
      endInput: () => (record.terminal ? attachment.write(Buffer.from('\u0004')) : attachment.endInput()),
      resize: (size) => this.resize(id, size),
      close() {
        attachment.close();
        return Promise.resolve();
      },
    };
  }

  exec(id: ObjectId, plan: ExecPlan): Promise<ExecSession> {
    return this.#host.timed('exec', () => execInUnit(this.#host, id, plan));
  }

  copyOut(id: ObjectId, request: CopyOutRequest, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    return copyOutOf((plan) => this.exec(id, plan), request, signal);
  }

  copyIn(id: ObjectId, request: CopyInRequest, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    return copyInto((plan) => this.exec(id, plan), request, tar, signal);
  }

  async resize(id: ObjectId, size: TerminalSize): Promise<void> {
    const record = this.#host.record(id);
    if (record?.terminal !== true) throw new BerthError('wrongState', 'It has no terminal.');
    resizeMonitored(this.#host.paths.unit(id).dir, size);
  }

  async update(id: ObjectId, resources: ResourcePlan): Promise<readonly (keyof ResourcePlan)[]> {
    const seen = await observeUnit(this.#host, id);
    if (!('info' in seen)) throw new BerthError('wrongState', 'Nothing runs whose limits could be changed.');
    await this.#host.groups.updateLater(id, resources).catch((cause: NodeJS.ErrnoException) => {
      throw cause.code === 'EBUSY' ? new BerthError('wrongState', 'It uses more memory than the new limit.', { hint: 'Give it more, or let it free some first.', cause }) : cause;
    });
    return [];
  }

  async stats(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitStats>> {
    const found = new Map<ObjectId, UnitStats>();
    for (const [index, id] of ids.entries()) {
      if (index > 0 && index % STATS_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      const stats = this.#host.groups.stats(id);
      if (stats !== undefined) found.set(id, stats);
    }
    return found;
  }

  processes(ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitProcesses>> {
    return unitProcesses(this.#host, ids);
  }

  logFiles(id: ObjectId): Promise<readonly string[]> {
    return Promise.resolve(monitorLogFiles(this.#host.paths.unit(id).logDir));
  }

  rotateLog(id: ObjectId): Promise<void> {
    const record = this.#host.record(id);
    if (record !== undefined) rotateMonitorLog(this.#host.paths.unit(id).logDir, record.log);
    return Promise.resolve();
  }

  leftovers(known: ReadonlySet<ObjectId>): Promise<readonly string[]> {
    return unitLeftovers(this.#host, known);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#host.exits[Symbol.dispose]();
    this.#host.groups[Symbol.dispose]();
    return Promise.resolve();
  }

  async #freeze(id: ObjectId, frozen: boolean): Promise<void> {
    const seen = await observeUnit(this.#host, id);
    if (seen.state !== 'running' && seen.state !== 'paused' && seen.state !== 'unsupervised') throw new BerthError('wrongState', 'Nothing runs that could be paused.');
    this.#host.groups.freeze(id, frozen);
    const end = performance.now() + FREEZE_DEADLINE_MS;
    while (this.#host.groups.frozen(id) !== frozen) {
      if (performance.now() > end) {
        if (frozen) this.#host.groups.freeze(id, false);
        throw new BerthError('timeout', `It could not be ${frozen ? 'paused' : 'resumed'} within ${FREEZE_DEADLINE_MS / 1000} s.`, { hint: 'A process of it hangs in the kernel.' });
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
