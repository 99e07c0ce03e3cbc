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

export interface PeerTimes {
  readonly startMs: number;
  readonly stopMs: number;
  readonly execMs?: number | undefined;
}

export interface PreparedPeer extends AsyncDisposable {
  readonly name: string;
  readonly version: string;
  readonly hasNetwork: boolean;
  /** One system booted, asked and stopped. */
  cycle(): Promise<PeerTimes>;
  /** PSS that one more takes, over 1 to `most`. */
  memorySlope(most: number): Promise<number>;
}

const EXECS = 5;

/** What entering their place costs, which is no part of a peer. */
async function entryMs(): Promise<number> {
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

/** Throws where it is not installed. */
export async function preparePeer(peer: SystemPeer, archive: string): Promise<PreparedPeer> {
  const version = await peer.version();
  await peer.prepare(archive);
  const entry = await entryMs();
  let count = 0;
  return {
    name: peer.name, version, hasNetwork: peer.hasNetwork,
    async cycle() {
      const name = `bench${count++}`;
      let init = 0;
      const startMs = await timed(async () => { init = await boot(peer, name); }) - entry;
      const execs: number[] = [];
      if (peer.exec !== undefined) for (let at = 0; at < EXECS; at++) execs.push(await timed(() => peer.exec!(name)) - entry);
      const stopMs = await timed(() => stop(peer, name, init)) - (peer.stop === undefined ? 0 : entry);
      await peer.remove(name);
      return { startMs, stopMs, ...(execs.length === 0 ? {} : { execMs: median(execs) }) };
    },
    memorySlope: (most) => memorySlope(peer, most),
    async [Symbol.asyncDispose]() {
      await peer.clear().catch(() => undefined);
    },
  };
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
