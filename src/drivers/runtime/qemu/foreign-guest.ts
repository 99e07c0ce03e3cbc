/** Machines without an agent: whatever a disk image holds. What works, works from outside, by QEMU's monitor. */
import type { ControlGroups } from '../../../host/cgroup.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ExecSession, ResourcePlan } from '../driver.ts';
import { noAgent } from '../no-agent.ts';
import type { Guest, Machine } from './guest.ts';
import { groupLimits } from './machine.ts';
import { qmpCommand, qmpTalk } from './qmp.ts';
import { changeMemory, withinStart } from './update-unit.ts';

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
  /** What the system makes of its power button is its own business; one that sleeps is woken to hear it. */
  async powerOff({ unit }) {
    await qmpTalk(unit.qmpSocket, async (ask) => {
      const { status } = await ask('query-status') as { readonly status: string };
      if (status === 'suspended') await ask('system_wakeup');
      await ask('system_powerdown');
    });
  },
  booted: (machine) => refuse(machine),
  resumed: () => undefined,
  exec: (machine): Promise<ExecSession> => refuse(machine),
  resize: (machine) => refuse(machine),
  async update(machine, resources, groups) {
    const { id, record } = machine, { memoryLimitBytes, cpus, waits } = withinStart(record, resources);
    const limits = { ...resources, cpus };
    if (memoryLimitBytes === record.memoryLimitBytes) await groups.updateLater(id, groupLimits(record, limits, memoryLimitBytes));
    else await memory(machine, memoryLimitBytes, limits, groups);
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
async function memory(machine: Machine, bytes: number, resources: ResourcePlan, groups: ControlGroups): Promise<void> {
  const name = machine.record.name ?? machine.id;
  switch (await changeMemory(machine, bytes, resources, groups)) {
    case 'done': return;
    case 'nobody': throw new BerthError('unsupported', `The system in ${name} does not change its memory while it runs: nobody in it answers the balloon.`, { hint: 'Restart it with the new limit. Linux and others answer with the virtio devices (--machine-preset virtio).' });
    case 'kept': throw new BerthError('wrongState', `The system in ${name} does not free as much memory as that.`, { hint: 'Give it more, or let it free some first.' });
  }
}
