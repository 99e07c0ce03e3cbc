/** Limits of a machine that runs: within what it was started with at once, beyond it with its next start. */
import type { ControlGroups } from '../../../host/cgroup.ts';
import { FRAME, parseStats } from '../../../model/agent-protocol.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ResourcePlan } from '../driver.ts';
import type { AgentLink } from './agent-link.ts';
import { moveBalloon, type MovedBalloon } from './balloon.ts';
import type { Machine } from './guest.ts';
import { groupLimits, LEAST_MEMORY_MIB } from './machine.ts';
import type { UnitRecord } from './unit-record.ts';

const MIB = 1024 * 1024;
/** What the guest's kernel wants to have left for itself. */
const SPARE_BYTES = 8 * MIB;

export interface UpdateParts {
  readonly groups: ControlGroups;
  readonly machine: Machine;
  readonly link: () => Promise<AgentLink>;
  readonly answerMs: number;
}

export interface UpdatedUnit {
  readonly record: UnitRecord;
  readonly waits: readonly (keyof ResourcePlan)[];
}

/** What a machine can have of these while it runs, and what waits. Errors: `invalid`. */
export function withinStart(record: UnitRecord, resources: ResourcePlan): { readonly memoryLimitBytes: number; readonly cpus: number; readonly waits: UpdatedUnit['waits'] } {
  const wished = resources.memoryBytes ?? record.memoryBytes;
  if (wished < LEAST_MEMORY_MIB * MIB) throw new BerthError('invalid', `A machine needs at least ${LEAST_MEMORY_MIB} MiB of memory.`, { fields: [{ path: 'spec.memoryBytes', message: `less than ${LEAST_MEMORY_MIB} MiB` }] });
  return {
    memoryLimitBytes: Math.min(wished, record.memoryBytes), cpus: Math.min(resources.cpus ?? 1, record.virtualCpus),
    waits: [...(wished > record.memoryBytes ? ['memoryBytes' as const] : []), ...((resources.cpus ?? 1) > record.virtualCpus ? ['cpus' as const] : [])],
  };
}

/** Errors: `invalid` and `wrongState` (memory), with everything as it was; those of the agent and of QEMU. */
export async function updateUnit(resources: ResourcePlan, { groups, machine: { id, unit, record }, link, answerMs }: UpdateParts): Promise<UpdatedUnit> {
  const { memoryLimitBytes, cpus, waits } = withinStart(record, resources);
  const agent = await link();
  // A balloon takes what is free and goes on asking for the rest, which would starve what runs without an end.
  const takenBytes = record.memoryLimitBytes - memoryLimitBytes;
  if (takenBytes > 0) {
    const { memoryAvailableBytes } = parseStats(await agent.requestRaw(FRAME.stats, {}, answerMs));
    if (takenBytes > memoryAvailableBytes - SPARE_BYTES) throw usesMore();
  }
  const limits = { ...resources, cpus }, machine = { id, unit, record };
  if (takenBytes !== 0 && await changeMemory(machine, memoryLimitBytes, limits, groups) !== 'done') throw usesMore();
  await agent.request(FRAME.update, { pids: resources.pids ?? 0 }, answerMs).catch(async (error: unknown) => {
    if (takenBytes !== 0) await changeMemory({ ...machine, record: { ...record, memoryLimitBytes } }, record.memoryLimitBytes, limits, groups);
    throw error;
  });
  if (takenBytes === 0) await groups.updateLater(id, groupLimits(record, limits, memoryLimitBytes));
  return { record: { ...record, memoryLimitBytes }, waits };
}

function usesMore(): BerthError {
  return new BerthError('wrongState', 'It uses more memory than the new limit.', { hint: 'Give it more, or let it free some first.' });
}

/**
 * Room is given before the balloon gives memory back, and taken when the host sees that it was freed: what a guest says
 * about its balloon is its own word (G08). Other than `done`: everything is as it was.
 */
export async function changeMemory({ id, unit, record }: Machine, toBytes: number, resources: ResourcePlan, groups: ControlGroups): Promise<MovedBalloon | 'done'> {
  const fromBytes = record.memoryLimitBytes, limitsOf = (bytes: number) => groupLimits(record, resources, bytes);
  if (toBytes > fromBytes) await groups.updateLater(id, limitsOf(toBytes));
  const after = limitsOf(toBytes);
  const moved = await moveBalloon({ qmpSocket: unit.qmpSocket, fromBytes, toBytes }, async () => {
    if (toBytes > fromBytes) return true;
    if ((groups.stats(id)?.memoryBytes ?? 0) > after.memoryBytes!) return false;
    try {
      await groups.updateLater(id, after);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      await groups.updateLater(id, limitsOf(fromBytes));
      return false;
    }
  });
  if (moved !== 'done' && toBytes > fromBytes) await groups.updateLater(id, limitsOf(fromBytes));
  return moved;
}
