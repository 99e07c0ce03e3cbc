/**
 * A child whose standard streams are pipes, or a terminal that comes later. Node's own “pipes” are sockets, and a socket
 * cannot be opened again: `echo x > /dev/stderr` would fail inside.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import net from 'node:net';
import koffi from 'koffi';
import { closeDescriptor, libc, systemError } from './libc.ts';
import { PLAIN_ENV, signalNumber } from './run.ts';

const O_CLOEXEC = 0o2000000;
const pipe2 = libc('int pipe2(_Out_ int *ends, int flags)');

export interface StreamedChild {
  readonly pid: number;
  readonly stdin: net.Socket | undefined;
  readonly stdout: net.Socket;
  readonly stderr: net.Socket;
  /** 128 + signal when a signal ended it. */
  readonly exitCode: Promise<number>;
}

export interface StreamedChildOptions {
  readonly stdin: boolean;
  /** Runs `work`, which forks, elsewhere (mounts.ts). Synchronous. */
  readonly around: <T>(work: () => T) => T;
}

/** Errors: of pipe2(2), and ENOENT when there is no such program (as a rejected `exitCode`). */
export function spawnStreamed(file: string, args: readonly string[], options: StreamedChildOptions): StreamedChild {
  const open: number[] = [];
  const pipe = (): { read: number; write: number } => {
    const ends = [0, 0];
    if ((pipe2(ends, O_CLOEXEC) as number) < 0) throw systemError('pipe2', koffi.errno());
    open.push(...ends);
    return { read: ends[0]!, write: ends[1]! };
  };
  let child: ChildProcess;
  let stdin: ReturnType<typeof pipe> | undefined, stdout: ReturnType<typeof pipe>, stderr: ReturnType<typeof pipe>;
  try {
    stdin = options.stdin ? pipe() : undefined;
    stdout = pipe();
    stderr = pipe();
    const stdio = [stdin?.read ?? 'ignore', stdout.write, stderr.write] as const;
    child = options.around(() => spawn(file, [...args], { cwd: '/', env: { ...PLAIN_ENV }, stdio: [...stdio] }));
  } catch (error) {
    for (const fd of open) closeDescriptor(fd);
    throw error;
  }
  for (const fd of [stdin?.read, stdout.write, stderr.write]) if (fd !== undefined) closeDescriptor(fd);
  const exitCode = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => { resolve(code ?? 128 + (signalNumber(signal) ?? 0)); });
  });
  exitCode.catch(() => undefined);
  return {
    pid: child.pid ?? 0, exitCode,
    stdin: stdin === undefined ? undefined : new net.Socket({ fd: stdin.write, readable: false, writable: true }),
    stdout: new net.Socket({ fd: stdout.read, readable: true, writable: false }),
    stderr: new net.Socket({ fd: stderr.read, readable: true, writable: false }),
  };
}
