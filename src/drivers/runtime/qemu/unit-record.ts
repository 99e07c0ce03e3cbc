/** What of a unit must be known after it was made, and where it lies: kept beside it for the next daemon. */
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { Boundary } from '../../../model/forms.ts';
import type { ObjectId } from '../../../model/ids.ts';

export interface UnitPaths {
  /** conmon's bundle, 0700: plan, sockets, pid files, what ended it. Below the run directory: gone after a reboot. */
  readonly dir: string;
  readonly record: string;
  readonly launchPlan: string;
  /** conmon wants one; nobody reads it. */
  readonly bundle: string;
  readonly agentSocket: string;
  readonly qmpSocket: string;
  readonly qemuPid: string;
  /** Written by the watcher (native/vm.c) when QEMU is gone. */
  readonly reason: string;
  /** QEMU's complaints, at most 64 KiB. */
  readonly complaints: string;
  /** There once the workload waits for its start; without it the boot was cut short. */
  readonly made: string;
  /** There once the workload was let go. */
  readonly started: string;
  /** There while the machine stands still on our behalf. */
  readonly paused: string;
  /** There where no instance is meant: it becomes a template and ends. */
  readonly template: string;
  /** Where QEMU brings the state of a template to. */
  readonly saveSocket: string;
  readonly logDir: string;
}

export interface RuntimePaths {
  readonly units: string;
  readonly exits: string;
  readonly logs: string;
  unit(id: ObjectId): UnitPaths;
}

export function runtimePaths(rootDir: string, runDir: string): RuntimePaths {
  const units = path.join(runDir, 'v'), logs = path.join(rootDir, 'logs');
  return {
    units, logs, exits: path.join(runDir, 'vm-exits'),
    unit(id) {
      const dir = path.join(units, id);
      const file = (name: string): string => path.join(dir, name);
      return {
        dir, record: file('unit.json'), launchPlan: file('vm.plan'), bundle: file('config.json'), made: file('made'), agentSocket: file('agent.sock'), qmpSocket: file('qmp.sock'), qemuPid: file('qemu.pid'),
        reason: file('reason'), complaints: file('qemu.err'), started: file('started'), paused: file('paused'), template: file('template'), saveSocket: file('save.sock'), logDir: path.join(logs, id),
      };
    },
  };
}

const RECORD = z.object({
  uid: z.int().positive(),
  /** Hexadecimal, 16 bytes; also how QEMU is known among processes. */
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  accelerator: z.enum(['kvm', 'tcg']),
  /** Which kernel we gave it; of a disk image nobody knows. */
  kernel: z.string().optional(),
  /** A disk image: nobody inside who could be asked. */
  foreign: z.boolean().optional(),
  /** For what people are told. */
  name: z.string().optional(),
  /** Missing in what an earlier version wrote. */
  start: z.enum(['cold', 'warm']).default('cold'),
  terminal: z.boolean(),
  stdin: z.boolean(),
  /** RAM of the guest. */
  memoryBytes: z.int().positive(),
  /** What the guest was asked to keep within; not above its RAM. */
  memoryLimitBytes: z.int().positive(),
  /** CPUs that the guest was started with. */
  virtualCpus: z.int().positive().default(1),
  /** Directories that it shares, and the first of the ids that those have who show them. */
  shares: z.int().nonnegative().default(0),
  idBase: z.int().positive().optional(),
  log: z.object({ maxBytes: z.int().positive(), maxFiles: z.int().positive() }),
});

export type UnitRecord = Readonly<z.infer<typeof RECORD>>;

export function boundaryOf(record: Pick<UnitRecord, 'accelerator'>): Boundary {
  return record.accelerator === 'kvm' ? 'hardware' : 'emulated';
}

/** Durable enough without a sync: the run directory does not outlive the host's boot, nor does the unit. */
export function writeRecord(file: string, record: UnitRecord): void {
  fs.writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
}

export function readRecord(file: string): UnitRecord | undefined {
  try {
    const result = RECORD.safeParse(JSON.parse(fs.readFileSync(file, 'utf8')));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}
