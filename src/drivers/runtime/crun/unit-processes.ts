/** The processes of containers, as the host sees them, in the numbers that each container uses. One program reads them all. */
import { run } from '../../../host/run.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { UnitProcesses } from '../driver.ts';
import { MAX_TABLE_BYTES, MAX_UNIT_PROCESSES, parseProcesses, type ToldProcess } from '../process-list.ts';
import type { CrunHost } from './crun-host.ts';

/** A process of a unit can keep /proc waiting. */
const TIMEOUT_MS = 10_000;
/** The host's own pid namespace, and the container's below it. */
const INSIDE_DEPTH = 2;

export async function unitProcesses(host: CrunHost, ids: readonly ObjectId[]): Promise<ReadonlyMap<ObjectId, UnitProcesses>> {
  const groups = ids.flatMap((id) => {
    const record = host.record(id);
    const pids = record === undefined ? [] : host.groups.pids(id);
    return record === undefined || pids.length === 0 ? [] : [{ id, range: record, pids }];
  });
  if (groups.length === 0) return new Map();
  const input = groups.flatMap(({ pids }) => pids.slice(0, MAX_UNIT_PROCESSES)).join('\n');
  const { stdout } = await run(host.options.nativeProgram, ['processes', '-'], { input, timeoutMs: TIMEOUT_MS, maxOutputBytes: MAX_TABLE_BYTES });
  const told = parseProcesses(stdout);
  const byPid = new Map(told.processes.map((one) => [one.outerPid, one]));
  return new Map(groups.map(({ id, range, pids }) => {
    // crun waits in the group for what it executes, and is not inside.
    const inside = pids.flatMap((pid) => byPid.get(pid) ?? []).filter((one) => one.depth >= INSIDE_DEPTH);
    const processes = inside.map(({ outerPid, depth: _depth, ...one }: ToldProcess) => {
      const uid = one.uid! - range.idBase;
      return { ...one, hostPid: outerPid, uid: uid >= 0 && uid < range.idCount ? uid : undefined, parentPid: byPid.get(one.parentPid)?.depth === 1 ? 0 : (byPid.get(one.parentPid)?.pid ?? 0) };
    });
    return [id, { processes: processes.toSorted((a, b) => a.pid - b.pid), isPartial: told.isPartial || pids.length > MAX_UNIT_PROCESSES }];
  }));
}
