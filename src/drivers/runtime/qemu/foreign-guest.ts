/** Machines without an agent: whatever a disk image holds. What works, works from outside, by QEMU's monitor. */
import { BerthError } from '../../../model/errors.ts';
import type { ExecSession } from '../driver.ts';
import { noAgent } from '../no-agent.ts';
import type { Guest, Machine } from './guest.ts';
import { groupLimits } from './machine.ts';
import { qmpCommand, qmpTalk } from './qmp.ts';
import { withinStart } from './update-unit.ts';

const BALLOON_MS = 5_000, LOOK_AGAIN_MS = 50;

export const foreignGuest: Guest = {
  /** The machine is frozen before the first instruction of its firmware: there is nothing more to wait for. */
  async prepare({ unit }) {
    await qmpCommand(unit.qmpSocket, 'query-status');
  },
  async start({ unit }) {
    await qmpCommand(unit.qmpSocket, 'cont');
  },
  signal: (machine) => refuse(machine),
  endWorkload: () => Promise.reject(new BerthError('wrongState', 'Nobody to ask.')),
  /** What the system makes of its power button is its own business. */
  async powerOff({ unit }) {
    await qmpCommand(unit.qmpSocket, 'system_powerdown');
  },
  booted: (machine) => refuse(machine),
  resumed: () => undefined,
  exec: (machine): Promise<ExecSession> => refuse(machine),
  resize: (machine) => refuse(machine),
  async update(machine, resources, groups) {
    const { id, record } = machine, { memoryLimitBytes, cpus, waits } = withinStart(record, resources);
    // First what may be refused.
    if (memoryLimitBytes !== record.memoryLimitBytes) await balloon(machine, memoryLimitBytes);
    groups.update(id, groupLimits(record.memoryBytes, { ...resources, cpus }));
    return { record: { ...record, memoryLimitBytes }, waits };
  },
  claims: () => Promise.resolve(undefined),
  inside: (machine) => refusal(machine).message,
};

function refusal({ record, id }: Machine): BerthError {
  return noAgent(record.name ?? id);
}

function refuse(machine: Machine): Promise<never> {
  return Promise.reject(refusal(machine));
}

/** A system without the driver, or that has not loaded it yet, takes no notice: then nothing was changed, and that is said. */
async function balloon({ unit, record, id }: Machine, bytes: number): Promise<void> {
  const refused = new BerthError('unsupported', `The system in ${record.name ?? id} does not change its memory while it runs: nobody in it answers the balloon.`, { hint: 'Restart it with the new limit. Linux and others answer with the virtio devices (--machine-preset virtio).' });
  await qmpTalk(unit.qmpSocket, async (ask) => {
    const actual = async (): Promise<number> => (await ask('query-balloon') as { readonly actual: number }).actual;
    const before = await actual().catch(() => { throw refused; });
    if (before === bytes) return;
    await ask('balloon', { value: bytes });
    const deadline = performance.now() + BALLOON_MS;
    while (await actual() === before) {
      if (performance.now() > deadline) {
        await ask('balloon', { value: before });
        throw refused;
      }
      await new Promise((resolve) => { setTimeout(resolve, LOOK_AGAIN_MS); });
    }
  });
}
