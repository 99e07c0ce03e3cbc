/**
 * What a round trip to the agent costs beside the same bytes through an echo on another port of the same device, and an
 * exec beside fork and exec of the same program by a process inside. In turns, in one machine, without a daemon.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { ALL_CAPABILITIES } from '../../../src/model/instance-defaults.ts';
import { encodeFrame, FRAME, FRAME_HEADER_BYTES, FrameReader, SYNC_BYTES } from '../../../src/model/agent-protocol.ts';
import { connectUnix } from '../../../src/host/unix-connect.ts';
import { startExec } from '../../../src/drivers/runtime/qemu/exec-session.ts';
import { AgentLink } from '../../../src/drivers/runtime/qemu/agent-link.ts';
import { median } from '../../../src/lib/statistics.ts';
import { busyboxLayer, collect, execPlan } from '../../lib/crun-bench.ts';
import type { QemuBench } from '../../lib/qemu-bench.ts';
import { timed } from '../figures.ts';
import { bootBareMachine, type BareMachine } from '../floors/bare-machine.ts';
import { compileInsidePrograms } from '../floors/inside-guest.ts';

const PING_BYTES = 16;
/** Short turns: on a busy machine neighbours in time are what compares. */
const TURNS = 8, PINGS_A_TURN = 30, EXECS_A_TURN = 8;
const ALL = ALL_CAPABILITIES.map((name) => `CAP_${name}`);

export interface AgentTrips {
  readonly pingMs: number;
  readonly echoMs: number;
  readonly execMs: number;
  readonly insideMs: number;
}

export async function agentTrips(bench: QemuBench): Promise<AgentTrips> {
  const image = path.join(bench.rootDir, 'trips.erofs'), layer = busyboxLayer(path.join(bench.rootDir, 'trips'));
  const { spawnTimer, echoPort } = compileInsidePrograms(bench.rootDir);
  for (const program of [spawnTimer, echoPort]) fs.copyFileSync(program, path.join(layer, 'bin', path.basename(program)));
  execFileSync('mkfs.erofs', ['-T0', image, layer], { stdio: 'ignore' });
  await using machine = await bootBareMachine(bench.plan(['/bin/echo-port'], { capabilities: ALL, root: { imageFile: image } }), bench.rootDir, { echo: true });
  await machine.link.request(FRAME.start, {}, 60_000);
  const echoSocket = await connectUnix(machine.echoSocket);
  const samples = { ping: [] as number[], echo: [] as number[], exec: [] as number[], inside: [] as number[] };
  try {
    for (let turn = 0; turn < TURNS; turn++) {
      const link = turn === 0 ? machine.link : await AgentLink.connect(machine.agentSocket, machine.nonce, 60_000);
      for (let at = 0; at < EXECS_A_TURN; at++) {
        samples.exec.push(await timed(() => executed(link, ['/bin/true'])));
        samples.inside.push(Number(await executed(link, ['/bin/spawn-timer', '1', '/bin/true'])) / 1000);
      }
      link[Symbol.dispose]();
      samples.ping.push(...await pings(machine));
      samples.echo.push(...await echoes(echoSocket));
    }
  } finally {
    echoSocket.destroy();
  }
  return { pingMs: median(samples.ping), echoMs: median(samples.echo), execMs: median(samples.exec), insideMs: median(samples.inside) };
}

async function executed(link: AgentLink, args: readonly string[]): Promise<string> {
  const session = await startExec(link, execPlan(args));
  const { stdout } = await collect(session.output);
  const { exitCode } = await session.exit;
  if (exitCode !== 0) throw new Error(`${args.join(' ')} inside ended with ${exitCode}`);
  return stdout;
}

/** A conversation of its own with the agent: as little between the clock and the wire as with the echo. */
async function pings({ agentSocket, nonce }: BareMachine): Promise<readonly number[]> {
  const sync = Buffer.concat([Buffer.from(nonce, 'hex'), randomBytes(SYNC_BYTES - nonce.length / 2)]);
  const reader = new FrameReader(sync);
  const socket = await connectUnix(agentSocket);
  try {
    socket.write(sync);
    while (reader.push((await once(socket, 'data'))[0] as Buffer).every((frame) => frame.type !== FRAME.hello)) { /* the answer to an earlier one */ }
    const frame = encodeFrame(FRAME.ping, 1, new Uint8Array(PING_BYTES));
    return await trips(socket, frame, FRAME_HEADER_BYTES + PING_BYTES);
  } finally {
    socket.destroy();
  }
}

function echoes(socket: Socket): Promise<readonly number[]> {
  return trips(socket, new Uint8Array(FRAME_HEADER_BYTES + PING_BYTES), FRAME_HEADER_BYTES + PING_BYTES);
}

async function trips(socket: Socket, bytes: Uint8Array, answerBytes: number): Promise<readonly number[]> {
  const all: number[] = [];
  for (let at = 0; at < PINGS_A_TURN; at++) {
    all.push(await timed(async () => {
      socket.write(bytes);
      for (let got = 0; got < answerBytes;) got += ((await once(socket, 'data'))[0] as Buffer).length;
    }));
  }
  return all;
}
