/** Everything that a running daemon is, opened in order and closed in reverse. Tests call it with parts of their own. */
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import { makeServer } from '../api/server.ts';
import { Control, type ControlParts } from '../control/control.ts';
import type { Logger } from '../control/services.ts';
import { endWithHost } from '../control/instance/host-shutdown.ts';
import type { StepHook } from '../control/journal.ts';
import { peerCredentials } from '../host/peer-credentials.ts';
import type { VirtiofsdProgram } from '../host/virtiofsd.ts';
import { readLog } from '../host/log-reader.ts';
import { openRootDirectory } from '../host/root-directory.ts';
import { BerthError } from '../model/errors.ts';
import { openDrivers, type Drivers } from './drivers.ts';
import { systemClock, systemRandomness } from './clock.ts';
import type { DaemonOptions } from './options.ts';
import { keepHouse } from './housekeeping.ts';
import { VERSION } from './version.ts';

export interface DaemonParts {
  readonly log: Logger;
  /** Replaces single drivers or guards in tests. */
  readonly drivers?: ((drivers: Drivers) => Drivers) | undefined;
  readonly stepHook?: StepHook | undefined;
  /** Debian's when missing. */
  readonly virtiofsd?: VirtiofsdProgram | undefined;
}

export interface RunningDaemon extends AsyncDisposable {
  readonly socketPath: string;
  readonly control: Control;
  /** For a host that goes down: as disposing of it, and everything that runs is brought to its end, to come back with the host. */
  endWithHost(): Promise<void>;
}

const FEATURES: readonly string[] = [];

export async function runDaemon(options: DaemonOptions, parts: DaemonParts): Promise<RunningDaemon> {
  await using opened = new AsyncDisposableStack();
  const root = opened.use(await openRootDirectory(options.rootDir, options.runDir));
  const plain = await openDrivers({ ...options, rootTag: root.tag, log: parts.log, virtiofsd: parts.virtiofsd });
  const drivers = parts.drivers?.(plain) ?? plain;
  opened.use(drivers);
  const controlParts: ControlParts = {
    ...drivers, nodeName: drivers.nodeName, clock: systemClock, randomness: systemRandomness(), log: parts.log,
    ...(parts.stepHook === undefined ? {} : { stepHook: parts.stepHook }),
  };
  const control = opened.use(await Control.open(controlParts));
  const house = keepHouse(control.services);
  opened.defer(() => house[Symbol.asyncDispose]());
  let withHost = false;
  // When nobody can ask for anything any more.
  opened.defer(() => (withHost ? endWithHost(control.services) : Promise.resolve()));
  const app = await makeServer({ control, log: parts.log, identifyPeer: peerCredentials, readLog, version: VERSION, features: FEATURES, requestId: () => randomBytes(9).toString('base64url') });
  opened.defer(() => closeServer(app));
  const socketPath = path.join(options.runDir, 'berth.sock');
  await listen(app, socketPath);
  const rest = opened.move();
  const close = () => rest.disposeAsync();
  return { socketPath, control, endWithHost: () => { withHost = true; return close(); }, [Symbol.asyncDispose]: close };
}

async function closeServer(app: FastifyInstance<Server>): Promise<void> {
  app.server.closeAllConnections();
  await app.close();
}

/** 0660, group `berth` where there is one. A socket that nobody answers on is left over from a daemon that died. */
async function listen(app: FastifyInstance<Server>, socketPath: string): Promise<void> {
  if (existsSync(socketPath)) {
    if (await answers(socketPath)) throw new BerthError('busy', `Something answers on ${socketPath} already.`, { hint: 'Give this daemon a --run of its own.' });
    unlinkSync(socketPath);
  }
  // The socket must never be open to all, not even between its making and the chmod.
  const before = process.umask(0o177);
  try {
    await app.listen({ path: socketPath });
  } finally {
    process.umask(before);
  }
  const gid = await groupId('berth');
  if (gid !== undefined) chownSync(socketPath, 0, gid);
  chmodSync(socketPath, 0o660);
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: socketPath });
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

async function groupId(name: string): Promise<number | undefined> {
  const text = await readFile('/etc/group', 'utf8').catch(() => '');
  const line = text.split('\n').map((one) => one.split(':')).find((fields) => fields[0] === name);
  return line === undefined ? undefined : Number(line[2]);
}
