/** Boots, stops and weighs a peer's systems. What is timed is the same for all: until systemd in it says that it is up. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { median, slopeOf } from '../../../src/lib/statistics.ts';
import { until } from '../../lib/until.ts';
import { timed } from '../figures.ts';
import { memoryThere, there, watchForFirstProcess } from './peer-place.ts';
import type { SystemPeer } from './system-peers.ts';

const PATIENCE_MS = 120_000;
/** SIGRTMIN+4 powers systemd off. */
const POWER_OFF = 38;

export interface PeerFigures {
  readonly version: string;
  readonly startMs: number;
  readonly stopMs: number;
  readonly execMs?: number | undefined;
  readonly memoryBytes: number;
}

/** What entering their place costs, which is no part of a peer. */
export async function entryMs(): Promise<number> {
  const all: number[] = [];
  for (let round = 0; round < 10; round++) all.push(await timed(() => there(['true'])));
  return median(all);
}

function isUp(init: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', ['-t', String(init), '-a', 'systemctl', 'is-system-running', '--wait'], { stdio: ['ignore', 'pipe', 'ignore'], timeout: PATIENCE_MS, killSignal: 'SIGKILL' });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => { text += part; });
    child.once('error', reject);
    child.once('close', () => { resolve(text.trim()); });
  });
}

/** The system's first process on this host, once it says `running` or `degraded`. */
async function boot(peer: SystemPeer, name: string): Promise<number> {
  const look = watchForFirstProcess();
  const started = peer.start(name);
  started.catch(() => undefined);
  const init = await until(look, { deadlineMs: PATIENCE_MS, intervalMs: 5, what: `the init of ${peer.name}` });
  await until(async () => ['running', 'degraded'].includes(await isUp(init)), { deadlineMs: PATIENCE_MS, intervalMs: 5, what: `${peer.name} to be up` });
  await started;
  return init;
}

async function stop(peer: SystemPeer, name: string, init: number): Promise<void> {
  if (peer.stop !== undefined) return peer.stop(name);
  process.kill(init, POWER_OFF);
  await until(() => !existsSync(`/proc/${init}`), { deadlineMs: PATIENCE_MS, intervalMs: 2, what: `the end of ${peer.name}` });
}

/** undefined: it is not installed. */
export async function measurePeer(peer: SystemPeer, archive: string, counts: { readonly rounds: number; readonly slope: number }): Promise<PeerFigures | undefined> {
  const version = await peer.version().catch(() => undefined);
  if (version === undefined) return undefined;
  await peer.prepare(archive);
  try {
    const entry = await entryMs();
    const times = { start: [] as number[], stop: [] as number[], exec: [] as number[] };
    for (let round = 0; round <= counts.rounds; round++) {
      const name = `bench${round}`;
      let init = 0;
      const start = await timed(async () => { init = await boot(peer, name); });
      const exec: number[] = [];
      if (peer.exec !== undefined) for (let at = 0; at < 5; at++) exec.push(await timed(() => peer.exec!(name)));
      const stopped = await timed(() => stop(peer, name, init));
      await peer.remove(name);
      if (round === 0) continue; // the first fills caches
      times.start.push(start - entry);
      times.stop.push(stopped - (peer.stop === undefined ? 0 : entry));
      times.exec.push(...exec.map((one) => one - entry));
    }
    return { version, startMs: median(times.start), stopMs: median(times.stop), ...(times.exec.length === 0 ? {} : { execMs: median(times.exec) }), memoryBytes: await memorySlope(peer, counts.slope) };
  } finally {
    await peer.clear().catch(() => undefined);
  }
}

async function memorySlope(peer: SystemPeer, most: number): Promise<number> {
  const points: [number, number][] = [];
  const running: { readonly name: string; readonly init: number }[] = [];
  for (let count = 1; count <= most; count++) {
    running.push({ name: `many${count}`, init: await boot(peer, `many${count}`) });
    points.push([count, memoryThere()]);
  }
  for (const { name, init } of running) {
    await stop(peer, name, init);
    await peer.remove(name);
  }
  return slopeOf(points)!.slope;
}
