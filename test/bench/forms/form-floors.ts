/** One cycle of each form without Berth: started, asked, ended. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { startExec } from '../../../src/drivers/runtime/qemu/exec-session.ts';
import { PROGRAM_INSIDE } from '../../../src/drivers/runtime/program-inside.ts';
import { FRAME } from '../../../src/model/agent-protocol.ts';
import { ALL_CAPABILITIES } from '../../../src/model/instance-defaults.ts';
import { collect, execPlan } from '../../lib/crun-bench.ts';
import type { QemuBench } from '../../lib/qemu-bench.ts';
import { until } from '../../lib/until.ts';
import { timed } from '../figures.ts';
import { bootBareMachine } from '../floors/bare-machine.ts';
import type { CrunFloor } from '../floors/crun-floor.ts';
import { MIB, WORKLOAD } from './running-forms.ts';

export interface FormTimes {
  readonly startMs: number;
  readonly execMs: number;
  readonly stopMs: number;
}

const PATIENCE_MS = 180_000;
const ROOT_DISK_BYTES = 10 * 1024 * MIB;
const CAPABILITIES = ALL_CAPABILITIES.map((name) => `CAP_${name}`);
const PATH_OF_SYSTEM = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export async function appFloor(crun: CrunFloor): Promise<FormTimes> {
  const begin = performance.now();
  const container = await crun.start(WORKLOAD);
  await until(() => fs.readFileSync(container.logFile, 'latin1').includes(' up\n'), { intervalMs: 1, what: 'the first word' });
  const startMs = performance.now() - begin;
  const execMs = await timed(() => container.exec('true'));
  const stopMs = await timed(() => container.end('TERM'));
  await container.remove();
  return { startMs, execMs, stopMs };
}

/** Its disks are those of a machine of ours: the image's file, and an empty formatted disk for a VM. */
export async function machineFloor(bench: QemuBench, form: 'microVM' | 'vm', imageFile: string): Promise<FormTimes> {
  const isSystem = form === 'vm';
  const plan = isSystem
    ? bench.plan(['/sbin/init'], {
      form, boot: { users: [], files: [], commands: [] }, capabilities: CAPABILITIES, noNewPrivileges: false, resources: { memoryBytes: 512 * MIB, cpuWeight: 100 },
      process: { terminal: true, env: [PATH_OF_SYSTEM, 'TERM=linux'] }, root: { imageFile },
    })
    : bench.plan(WORKLOAD, { resources: { memoryBytes: 128 * MIB, cpuWeight: 100 }, root: { imageFile } });
  const upperDisk = path.join(bench.rootDir, `floor-${plan.id}.ext4`);
  fs.writeFileSync(upperDisk, '');
  fs.truncateSync(upperDisk, ROOT_DISK_BYTES);
  execFileSync('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=1,lazy_journal_init=1', upperDisk]);
  try {
    const begin = performance.now();
    await using machine = await bootBareMachine(plan, bench.rootDir, { upperDisk });
    await machine.link.request(FRAME.start, {}, PATIENCE_MS);
    const run = async (args: readonly string[]): Promise<string> => {
      const session = await startExec(machine.link, execPlan(args, { env: [PATH_OF_SYSTEM], capabilities: CAPABILITIES, noNewPrivileges: false }));
      return (await collect(session.output)).stdout;
    };
    if (isSystem) await run([PROGRAM_INSIDE, 'ready', String(PATIENCE_MS / 1000)]);
    const startMs = performance.now() - begin;
    const execMs = await timed(() => run(['true']));
    const stopMs = await timed(async () => {
      const asked = isSystem ? run([PROGRAM_INSIDE, 'off']) : machine.link.request(FRAME.shutdown, {}, PATIENCE_MS);
      asked.catch(() => undefined); // the machine may be gone before it answers
      await machine.ended;
    });
    return { startMs, execMs, stopMs };
  } finally {
    fs.rmSync(upperDisk);
  }
}
