/** The processes of VMs: what each guest says runs in it, beside what the host sees of its machine. */
import { deadlineIn } from '../../../lib/deadline.ts';
import { BerthError } from '../../../model/errors.ts';
import { run } from '../../../host/run.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { UnitProcess, UnitProcesses } from '../driver.ts';
import { MAX_TABLE_BYTES, parseProcesses } from '../process-list.ts';
import { askProcesses, type InsideOptions } from '../program-inside.ts';

const TIMEOUT_MS = 10_000;

export interface MachineToAsk {
  readonly id: ObjectId;
  /** Of QEMU on the host. */
  readonly pid: number;
  /** How its guest is asked; a sentence where there is nobody to ask. */
  readonly guest: InsideOptions | string;
}

export async function machineProcesses(nativeProgram: string, machines: readonly MachineToAsk[]): Promise<ReadonlyMap<ObjectId, UnitProcesses>> {
  if (machines.length === 0) return new Map();
  const [{ stdout }, guests] = await Promise.all([
    run(nativeProgram, ['processes', '-'], { input: machines.map(({ pid }) => pid).join('\n'), timeoutMs: TIMEOUT_MS, maxOutputBytes: MAX_TABLE_BYTES }),
    Promise.all(machines.map(({ guest }) => (typeof guest === 'string' ? { processes: [], isPartial: false, problem: guest } : insideOf(guest)))),
  ]);
  const seen = new Map(parseProcesses(stdout).processes.map(({ outerPid, depth: _depth, ...one }) => [outerPid, { ...one, pid: outerPid, parentPid: 0, hostPid: outerPid }]));
  return new Map(machines.map(({ id, pid }, index): readonly [ObjectId, UnitProcesses] => {
    const machine: UnitProcess | undefined = seen.get(pid);
    return [id, { ...guests[index]!, ...(machine === undefined ? {} : { machine }) }];
  }));
}

async function insideOf(options: InsideOptions): Promise<UnitProcesses> {
  try {
    // An agent that is silent may not hold the others up: the way to it counts, too.
    const { processes, isPartial } = await deadlineIn(options.timeoutMs + 1_000).race(askProcesses(options), () => new BerthError('timeout', 'Its agent did not answer in time.'));
    return { processes: processes.map(({ outerPid: _outer, depth: _depth, ...one }) => one), isPartial };
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return { processes: [], isPartial: false, problem: error.message };
  }
}
