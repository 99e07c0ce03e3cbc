/** What runs inside: the part of the runtime suite that asks for it. */
import assert from 'node:assert/strict';
import type { ObjectId } from '../../model/ids.ts';
import type { PlanChoices, RuntimeBench, RuntimeCapabilities } from './contract.ts';
import type { FilesContractParts } from './files-contract.ts';

const MEBIBYTE = 1024 * 1024;

export interface ProcessesContractParts extends Pick<FilesContractParts, 'check' | 'until'> {
  readonly started: (bench: RuntimeBench, args: readonly string[], choices?: PlanChoices) => Promise<ObjectId>;
  readonly can: RuntimeCapabilities;
  readonly name: string;
  sh(script: string): readonly string[];
}

export function processesContract({ check, started, until, sh, name, can }: ProcessesContractParts): void {
  check('processes of several in one call: in the unit’s own numbers, none of what is outside', async (bench) => {
    const { driver } = bench;
    const ownUid = can.application === true ? 1000 : 0;
    const commands = ['sleep 999', 'sleep 997'] as const;
    const ids = [
      await started(bench, sh('sleep 998 & exec sleep 999'), { process: { user: { uid: ownUid, gid: ownUid, additionalGids: [] } } }), await started(bench, ['sleep', '997']),
    ];
    const isVm = (id: ObjectId): Promise<boolean> => driver.observe(id).then((seen) => 'info' in seen && seen.info.boundary !== 'kernel');
    const told = await until(async () => {
      const now = await driver.processes([...ids, bench.plan(['true']).id]);
      // A unit that has just been started is still being made into its command.
      return commands.every((wanted, at) => now.get(ids[at]!)?.processes.some(({ command }) => command.endsWith(wanted)) === true) ? now : undefined;
    }, 10_000 * can.patience, 'the commands');
    assert.deepEqual([...told.keys()], ids);
    for (const [id, wanted, uid] of [[ids[0]!, commands[0], ownUid], [ids[1]!, commands[1], 0]] as const) {
      const { processes, machine, isPartial } = told.get(id)!;
      const one = processes.find(({ command }) => command.endsWith(wanted))!;
      assert.deepEqual([one.uid, isPartial, processes.some(({ command }) => /conmon|qemu|crun/.test(command))], [uid, false, false], JSON.stringify(processes));
      assert.ok(one.pid >= 1 && one.residentBytes > 0 && one.ageMs >= 0 && /^[A-Z]$/.test(one.state), JSON.stringify(one));
      assert.equal(machine !== undefined, await isVm(id), 'the host’s view of a machine');
      assert.ok(machine === undefined || (machine.residentBytes > MEBIBYTE || name.startsWith('fake')));
    }
    await driver.pause(ids[1]!);
    const paused = (await driver.processes(ids)).get(ids[1]!)!;
    assert.ok(paused.processes.length > 0 || paused.problem !== undefined);
  });
}
