/** Commands, reboots and machines, many times, and what they leave of the host’s things. */
import fs from 'node:fs';
import path from 'node:path';
import { Client } from '../../src/client/client.ts';
import { frameJson } from '../../src/client/frame-stream.ts';
import { FRAME } from '../../src/lib/frames.ts';
import type { TestDaemon } from './daemon.ts';
import { until } from './until.ts';

export interface Holdings {
  /** Descriptors of the daemon. */
  readonly descriptors: number;
  /** Of them and of the monitors: inotify instances. */
  readonly inotify: number;
  /** Mounts of the host's namespace. */
  readonly mounts: number;
  /** Control groups of this root, those that the init made left out. */
  readonly groups: number;
  /** Processes of this root on the host: monitors, name servers, lxcfs. */
  readonly processes: number;
  /** Files and directories below the root and run directories, the system's own root left out. */
  readonly files: number;
}

export async function holdings(daemon: TestDaemon): Promise<Holdings> {
  const tag = fs.readFileSync(path.join(daemon.rootDir, 'state', 'tag'), 'latin1').split('\n')[0]!;
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && readable(() => fs.readFileSync(`/proc/${name}/cmdline`, 'latin1')).includes(daemon.base));
  const linksOf = (pid: string | number): string[] => readable(() => fs.readdirSync(`/proc/${pid}/fd`).map((fd) => readable(() => fs.readlinkSync(`/proc/${pid}/fd/${fd}`))).join('\n')).split('\n').filter((link) => link !== '');
  return {
    descriptors: linksOf(daemon.pid!).length,
    inotify: [...pids].flatMap(linksOf).filter((link) => link.includes('inotify')).length,
    mounts: fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length,
    groups: ['', ...fs.readdirSync('/sys/fs/cgroup')].flatMap((dir) => listed(path.join('/sys/fs/cgroup', dir, `berth-${tag}`))).length,
    processes: pids.length,
    files: await count(daemon.rootDir, (name) => name === 'roots' || name === 'state') + await count(daemon.runDir, () => false),
  };
}

function readable(read: () => string): string {
  try {
    return read();
  } catch {
    return ''; // it ended meanwhile
  }
}

function listed(dir: string): string[] {
  try {
    return fs.readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return [];
  }
}

async function count(dir: string, leaveOut: (name: string) => boolean): Promise<number> {
  let sum = 0;
  for (const entry of await fs.promises.readdir(dir, { withFileTypes: true })) {
    if (leaveOut(entry.name)) continue;
    sum += 1 + (entry.isDirectory() ? await count(path.join(dir, entry.name), leaveOut) : 0);
  }
  return sum;
}

/** Runs a command inside through the API and answers its exit code; throws when there is none. */
export async function execInside(daemon: TestDaemon, name: string, command: readonly string[]): Promise<number> {
  const client = new Client({ host: `unix:${daemon.socketPath}` });
  const stream = await client.stream('instance.exec', { name }, { command: [...command] });
  try {
    for await (const frame of stream.frames()) if (frame.type === FRAME.exit) return (frameJson(frame) as { exitCode: number }).exitCode;
  } finally {
    stream.close();
  }
  throw new Error('the exec ended without an exit code');
}

export async function manyExecs(daemon: TestDaemon, name: string, times: number, atOnce = 4): Promise<void> {
  let left = times;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) {
      const code = await execInside(daemon, name, ['sh', '-c', 'exit 7']);
      if (code !== 7) throw new Error(`an exec ended with ${code}`);
    }
  }));
}

/** From inside; each is waited for until the system is up again. */
export async function manyReboots(daemon: TestDaemon, name: string, times: number): Promise<void> {
  for (let round = 0; round < times; round++) {
    const { startedAt } = (await daemon.instance(name)).status;
    await execInside(daemon, name, ['systemctl', 'reboot']).catch(() => undefined);
    await until(async () => {
      const { status } = await daemon.instance(name);
      // Who reboots that often is paused for; who starts it by hand is not.
      if (status.state === 'backoff') await daemon.request('POST', `/v1/projects/default/instances/${name}/start?waitMs=60000`);
      return status.startedAt !== startedAt && status.state === 'running' && status.health === 'healthy';
    }, { deadlineMs: 120_000, what: `reboot ${round} of '${name}'` });
  }
}

/** What grew; a few descriptors of connections come and go, and a log goes on in the next of its three files. */
export function grown(before: Holdings, after: Holdings): string[] {
  const slack: Partial<Record<keyof Holdings, number>> = { descriptors: 4, files: 2 };
  return (Object.keys(before) as (keyof Holdings)[]).filter((key) => after[key] > before[key] + (slack[key] ?? 0)).map((key) => `${key}: ${before[key]} → ${after[key]}`);
}
