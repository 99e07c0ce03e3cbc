import fs from 'node:fs';
import net from 'node:net';
import type { StreamedChild } from '../../../host/child-streams.ts';
import { setTerminalSize, type ConsoleSocket } from '../../../host/console-socket.ts';
import { socketOf } from '../../../host/monitor-attach.ts';
import { identify, signalProcess, type ProcessIdentity } from '../../../host/process.ts';
import { pullQueue, type PullQueue } from '../../../lib/pull-queue.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ExecSession, OutputChunk, TerminalSize } from '../driver.ts';
import { noMoreProcesses } from '../no-more-processes.ts';
import { commandFailure, NO_MORE_PROCESSES, NOT_RUNNABLE } from './start-failure.ts';

export interface ExecParts {
  readonly child: StreamedChild;
  readonly console: ConsoleSocket | undefined;
  readonly pidFile: string;
  /** crun's own complaints; empty when the process ran. */
  readonly logFile: string;
  readonly size: TerminalSize | undefined;
  /** How many processes the unit has and may have, where there is a limit. */
  readonly room: () => { readonly pids: number; readonly limit: number } | undefined;
  readonly ended: () => void;
}

/** Bytes held for a reader that does not come. */
const HELD_BYTES = 256 * 1024;
const MAX_LOG_BYTES = 64 * 1024;
/** What crun has at most in the unit's groups on its way inside. */
const CRUN_PROCESSES = 3;
/** Before a process that is to be ended must have begun. */
const START_MS = 2_000;

/** An exec from its fork to its exit code. */
export class ExecConversation implements ExecSession {
  readonly exit: Promise<{ readonly exitCode: number }>;
  readonly #parts: ExecParts;
  readonly #held: PullQueue<OutputChunk>;
  /** Streams that may still bring output. */
  readonly #open = new Set<net.Socket>();
  /** Where input goes: a pipe at once, a terminal when it came. */
  readonly #input: Promise<net.Socket | undefined>;
  #masterFd: number | undefined;
  #pendingSize: TerminalSize | undefined;
  #identity: ProcessIdentity | undefined;
  #exited = false;
  #closed = false;
  #inputEnded = false;

  constructor(parts: ExecParts) {
    this.#parts = parts;
    this.#pendingSize = parts.size;
    this.#held = pullQueue(HELD_BYTES, () => { for (const stream of this.#open) stream.resume(); });
    const { child } = parts;
    child.stdin?.on('error', () => undefined);
    this.#read(child.stdout, 'stdout');
    this.#read(child.stderr, 'stderr');
    this.#input = parts.console === undefined ? Promise.resolve(child.stdin) : this.#takeTerminal(parts.console);
    this.exit = this.#end();
    this.exit.catch(() => undefined);
  }

  get output(): AsyncIterable<OutputChunk> {
    return this.#held;
  }

  async write(data: Uint8Array): Promise<void> {
    const input = await this.#input;
    if (input === undefined || this.#inputEnded || this.#exited || input.destroyed) throw new BerthError('wrongState', 'The process does not take input any more.');
    await new Promise<void>((resolve, reject) => {
      input.write(data, (cause) => { if (cause) reject(new BerthError('wrongState', 'The process does not take input any more.', { cause })); else resolve(); });
    });
  }

  async endInput(): Promise<void> {
    const input = await this.#input;
    if (this.#inputEnded || input === undefined || input.destroyed) return;
    this.#inputEnded = true;
    // A terminal has no end of file but the character that means it.
    if (this.#masterFd !== undefined) input.write('\u0004');
    else input.end();
  }

  resize(size: TerminalSize): Promise<void> {
    this.#pendingSize = size;
    this.#applySize();
    return Promise.resolve();
  }

  async signal(signal: string): Promise<void> {
    const identity = await this.#process();
    if (identity === undefined || !signalProcess(identity, signal)) throw new BerthError('wrongState', 'The process has ended.');
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#exited) {
      const identity = await this.#process(performance.now() + START_MS);
      if (identity !== undefined) signalProcess(identity, 'SIGKILL');
      // A system governs the control group that crun works in on its way inside: it may have been frozen there.
      else if (!this.#exited) this.#killCrun();
    }
    // A terminal that never came is not waited for.
    const input = await Promise.race([this.#input.catch(() => undefined), this.exit.then(() => undefined, () => undefined)]);
    input?.destroy();
    for (const stream of this.#open) stream.destroy();
    this.#held.drop();
  }

  #read(stream: net.Socket, name: OutputChunk['stream']): void {
    this.#open.add(stream);
    stream.on('data', (data: Buffer) => {
      if (!this.#held.push({ stream: name, data }, data.length)) for (const one of this.#open) one.pause();
    });
    stream.on('error', () => { stream.destroy(); });
    stream.once('close', () => { this.#gone(stream); });
    stream.once('end', () => { this.#gone(stream); });
  }

  #gone(stream: net.Socket): void {
    this.#open.delete(stream);
    this.#endOutput();
  }

  /** After the last stream and the process: who read all of it finds the exit code known. */
  #endOutput(): void {
    if (this.#exited && this.#open.size === 0) this.#held.end();
  }

  async #takeTerminal(console_: ConsoleSocket): Promise<net.Socket | undefined> {
    let masterFd: number;
    try {
      masterFd = await console_.master;
    } catch {
      return undefined;
    }
    this.#masterFd = masterFd;
    const terminal = socketOf(masterFd, (length, buffer) => {
      const more = this.#held.push({ stream: 'stdout', data: Buffer.from(buffer.subarray(0, length)) }, length);
      if (!more) for (const one of this.#open) one.pause();
      return more;
    });
    terminal.once('close', () => { this.#masterFd = undefined; });
    this.#open.add(terminal);
    // EIO is how the master of a terminal says that nobody has the other side open any more.
    terminal.on('error', () => { terminal.destroy(); });
    terminal.once('end', () => { terminal.destroy(); });
    terminal.once('close', () => { this.#gone(terminal); });
    terminal.resume();
    this.#applySize();
    if (this.#closed) terminal.destroy();
    return terminal;
  }

  #applySize(): void {
    if (this.#masterFd === undefined || this.#pendingSize === undefined) return;
    setTerminalSize(this.#masterFd, this.#pendingSize);
    this.#pendingSize = undefined;
  }

  #killCrun(): void {
    const crun = identify(this.#parts.child.pid);
    if (crun !== undefined) signalProcess(crun, 'SIGKILL');
  }

  /** crun writes the pid file once the process is there; undefined when it never came or is gone, or not until `end`. */
  async #process(end = Infinity): Promise<ProcessIdentity | undefined> {
    while (this.#identity === undefined && !this.#exited && performance.now() < end) {
      const pid = Number(readText(this.#parts.pidFile));
      if (pid > 1) return this.#identity = identify(pid);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return this.#identity;
  }

  async #end(): Promise<{ readonly exitCode: number }> {
    try {
      const code = await this.#parts.child.exitCode;
      const said = code === 0 ? '' : readText(this.#parts.logFile);
      if (fs.existsSync(this.#parts.pidFile)) return { exitCode: code };
      const command = commandFailure(said);
      const room = code === 0 || command !== undefined ? undefined : this.#parts.room();
      // A crun that could not make its own child may end before that is in its log, or by the broken pipe to it.
      if (room !== undefined && room.pids + CRUN_PROCESSES > room.limit || NO_MORE_PROCESSES.test(said)) throw noMoreProcesses(room?.limit);
      if (said === '') return { exitCode: code };
      // crun says it on standard error too, where the caller reads it.
      return { exitCode: command ?? NOT_RUNNABLE };
    } finally {
      this.#exited = true;
      this.#parts.console?.[Symbol.dispose]();
      this.#parts.ended();
      this.#endOutput();
    }
  }
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8').slice(0, MAX_LOG_BYTES).trim();
  } catch {
    return '';
  }
}
