/** What native/os-processes.c tells of processes. Inside a unit it is the unit's word: hostile, bounded, checked. */
import { BerthError } from '../../model/errors.ts';
import type { UnitProcess } from './driver.ts';

/** A table of 4,096 processes, each with a command of 512 bytes and its numbers. */
export const MAX_TABLE_BYTES = 3 * 1024 * 1024;
/** Of one unit. */
export const MAX_UNIT_PROCESSES = 1024;
const MAX_COMMAND = 512;

export interface ToldProcess extends UnitProcess {
  /** As who told it counts. */
  readonly outerPid: number;
  /** Pid namespaces that it is in, the first included; 0 where the kernel does not say. */
  readonly depth: number;
}

export interface ToldProcesses {
  readonly processes: readonly ToldProcess[];
  /** There were more than were told. */
  readonly isPartial: boolean;
}

const NUMBER = /^\d{1,15}$/;

/** @throws BerthError `unavailable` on anything that this program does not write. */
export function parseProcesses(text: string, most = Number.POSITIVE_INFINITY): ToldProcesses {
  const processes: ToldProcess[] = [];
  let isPartial = false;
  for (const record of text.split('\0')) {
    if (record === '') continue;
    if (record === 'more' || processes.length >= most) {
      isPartial = true;
      continue;
    }
    const [outerPid, pid, depth, parent, uid, state, cpu, age, resident, ...words] = record.split('\t');
    const numbers = [outerPid, pid, depth, parent, uid, cpu, age, resident];
    if (!numbers.every((one) => one !== undefined && NUMBER.test(one)) || state === undefined || !/^[A-Za-z]$/.test(state)) throw new BerthError('unavailable', 'The table of processes makes no sense.');
    processes.push({
      outerPid: Number(outerPid), pid: Number(pid), depth: Number(depth), parentPid: Number(parent), uid: Number(uid), state, cpuMs: Number(cpu), ageMs: Number(age), residentBytes: Number(resident),
      command: words.join('\t').slice(0, MAX_COMMAND),
    });
  }
  return { processes, isPartial };
}
