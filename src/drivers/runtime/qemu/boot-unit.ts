/** One boot of a machine, from an empty directory to a workload that waits for its start. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { BerthError } from '../../../model/errors.ts';
import { FRAME } from '../../../model/agent-protocol.ts';
import { prepareMonitorLog } from '../../../host/monitor-log.ts';
import { startMonitor } from '../../../host/monitor.ts';
import type { ProcessIdentity } from '../../../host/process.ts';
import type { UnitInfo, UnitPlan } from '../driver.ts';
import { AgentLink } from './agent-link.ts';
import { DESCRIPTOR } from './command-line.ts';
import { setupFields, workloadFields } from './guest-fields.ts';
import { groupLimits, launchPlan, memoryMiB, templateMac, virtualCpus, type WarmParts } from './machine.ts';
import type { GuestKernelFiles, MicroVmDeadlines, MicroVmRuntimeOptions } from './microvm-options.ts';
import { qmpCommands } from './qmp-commands.ts';
import type { Template } from './template-store.ts';
import { boundaryOf, writeRecord, type UnitPaths, type UnitRecord } from './unit-record.ts';
import { qemuIdentity } from './unit-processes.ts';
import { encodeLaunchPlan } from './vm-plan.ts';

const MIB = 1024 * 1024;

export interface BootParts {
  readonly options: MicroVmRuntimeOptions;
  readonly deadlines: MicroVmDeadlines;
  readonly unit: UnitPaths;
  readonly exitDir: string;
  readonly record: UnitRecord;
  readonly kernel: GuestKernelFiles;
  /** 0 where the guest measures it itself. */
  readonly tscKhz: number;
  readonly signal: AbortSignal | undefined;
  /** To resume from, in place of a boot. */
  readonly template?: Template | undefined;
  /** Told as soon as the agent answered. */
  readonly linked: (link: AgentLink) => void;
}

export function bootRecord(plan: UnitPlan, uid: number, accelerator: 'kvm' | 'tcg', kernel: GuestKernelFiles, start: 'cold' | 'warm'): UnitRecord {
  return {
    uid, nonce: randomBytes(16).toString('hex'), accelerator, kernel: kernel.release, start, terminal: plan.process.terminal, stdin: plan.stdin,
    memoryBytes: memoryMiB(plan) * MIB, memoryLimitBytes: memoryMiB(plan) * MIB, virtualCpus: virtualCpus(plan), log: plan.log,
  };
}

/** Errors of a boot that may go better the next time have `details.boot`. What was made stays: `remove` takes it away. */
export async function bootUnit(plan: UnitPlan, parts: BootParts): Promise<UnitInfo> {
  const { deadlines, unit, record, signal, template } = parts;
  const { process, monitor } = await startMachine(plan, parts, template === undefined ? undefined : { memory: 'clone', ramFile: template.ramFile, stateFile: template.stateFile });
  try {
    const link = await (template === undefined ? AgentLink.connect(unit.agentSocket, record.nonce, deadlines.bootMs, signal) : resume(template, parts));
    parts.linked(link);
    const facts = {
      clockNs: BigInt(Date.now()) * 1_000_000n, seed: randomBytes(64).toString('hex'),
      identity: template === undefined ? undefined : { nonce: record.nonce, macOf: templateMac },
    };
    const setup = link.request(FRAME.setup, setupFields(plan, facts), deadlines.prepareMs);
    const workload = link.request(FRAME.create, workloadFields(plan), 2 * deadlines.prepareMs);
    // Where both fail the first is the cause.
    await Promise.all([setup, workload.catch((error: unknown) => setup.then(() => { throw error; }))]);
  } catch (error) {
    throw error instanceof BerthError && (error.code === 'timeout' || error.code === 'unavailable') ? bootError(error, unit) : error;
  }
  signal?.throwIfAborted();
  fs.writeFileSync(unit.made, '');
  return { process, monitor, boundary: boundaryOf(record), accelerator: record.accelerator, kernel: record.kernel, start: record.start };
}

/** Everything up to a QEMU that runs. */
export async function startMachine(plan: UnitPlan, parts: Omit<BootParts, 'linked'>, warm?: WarmParts): Promise<{ readonly process: ProcessIdentity; readonly monitor: ProcessIdentity }> {
  const { options, deadlines, unit, record, kernel, signal } = parts;
  fs.mkdirSync(unit.dir, { recursive: warm?.memory === 'template', mode: 0o700 });
  writeRecord(unit.record, record);
  options.groups.create(plan.id, groupLimits(record.memoryBytes, plan.resources));
  const joins = options.groups.joinFiles(plan.id);
  const launch = launchPlan(plan, record, {
    qemu: options.qemu, vmlinux: kernel.vmlinux, initramfs: kernel.initramfs, tscKhz: parts.tscKhz,
    // A container's device list has no /dev/kvm; the machine's jail has no other device, and no right to make one.
    cgroupFiles: record.accelerator === 'kvm' ? joins.filter((file) => !file.includes('/devices/')) : joins,
  }, warm);
  fs.writeFileSync(unit.launchPlan, encodeLaunchPlan(options.guards?.launch?.(launch) ?? launch), { mode: 0o600 });
  fs.writeFileSync(unit.bundle, '{}');
  const log = prepareMonitorLog(unit.logDir, plan.log);
  const { monitor } = await startMonitor({
    conmon: options.conmon, id: plan.id, dir: unit.dir, program: options.nativeProgram, programArgs: ['vm'], exitDir: parts.exitDir,
    logFile: log.logFile, logSizeMaxBytes: log.logSizeMaxBytes, terminal: plan.process.terminal, stdin: plan.stdin,
  }, { timeoutMs: deadlines.prepareMs, signal });
  const process = qemuIdentity(unit, record);
  if (process === undefined) throw bootError(new Error('QEMU ended at once.'), unit);
  return { process, monitor };
}

/** The memory is the template's already; the state of the devices follows, and the guest goes on from where it stood. */
async function resume(template: Template, { unit, deadlines, signal }: BootParts): Promise<AgentLink> {
  const capabilities = [{ capability: 'x-ignore-shared', state: true }];
  const restored = qmpCommands(unit.qmpSocket, [
    { execute: 'migrate-set-capabilities', arguments: { capabilities } },
    { execute: 'migrate-incoming', arguments: { uri: `fd:${DESCRIPTOR.restore}` } },
  ], deadlines.warmMs, signal);
  const link = AgentLink.connect(unit.agentSocket, template.nonce, deadlines.warmMs, signal);
  try {
    await restored;
  } catch (error) {
    link.then((open) => { open[Symbol.dispose](); }, () => undefined);
    throw error;
  }
  return link;
}

/** With QEMU's own words, if it said any. */
export function bootError(cause: Error, unit: UnitPaths): BerthError {
  let said = '';
  try {
    said = fs.readFileSync(unit.complaints, 'utf8').trim().slice(-500);
  } catch {
    // QEMU said nothing
  }
  return new BerthError('timeout', `The machine did not come up: ${cause.message}${said === '' ? '' : ` QEMU said: ${said}`}`, { cause, details: { boot: true } });
}
