/** Who answers for what happens inside a machine: our agent (agent-guest.ts), or nobody (foreign-guest.ts). */
import type { GuestStats } from '../../../model/agent-protocol.ts';
import type { ControlGroups } from '../../../host/cgroup.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { ExecPlan, ExecSession, ResourcePlan, TerminalSize, UnitPlan } from '../driver.ts';
import type { BootState, InsideOptions } from '../program-inside.ts';
import type { Template } from './template-store.ts';
import type { UnitPaths, UnitRecord } from './unit-record.ts';
import type { UpdatedUnit } from './update-unit.ts';

export interface Machine {
  readonly id: ObjectId;
  readonly unit: UnitPaths;
  readonly record: UnitRecord;
}

/** Whether the machine is in a state for it is the runtime's to know. */
export interface Guest {
  /** From a QEMU that runs to a workload that waits for its start. `timeout` and `unavailable`: another boot may go better. How long it may take is the caller's to say, by the signal. */
  prepare(machine: Machine, plan: UnitPlan, how: { readonly signal: AbortSignal | undefined; readonly template: Template | undefined }): Promise<void>;
  start(machine: Machine): Promise<void>;
  /** Any but SIGKILL, as Linux numbers them. */
  signal(machine: Machine, number: number): Promise<void>;
  /** SIGKILL, by somebody who leaves the disks clean. Rejects where there is nobody. */
  endWorkload(machine: Machine): Promise<void>;
  powerOff(machine: Machine): Promise<void>;
  booted(machine: Machine, timeoutMs: number): Promise<BootState>;
  /** The machine stood still and goes on. Nothing depends on who hears it. */
  resumed(machine: Machine): void;
  exec(machine: Machine, plan: ExecPlan): Promise<ExecSession>;
  resize(machine: Machine, size: TerminalSize): Promise<void>;
  update(machine: Machine, resources: ResourcePlan, groups: ControlGroups): Promise<UpdatedUnit>;
  /** What the guest says about itself: bounded, late is never. */
  claims(machine: Machine): Promise<GuestStats | undefined>;
  /** How its processes are told; a sentence where there is nobody to ask. */
  inside(machine: Machine, timeoutMs: number): InsideOptions | string;
}
