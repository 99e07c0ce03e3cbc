/**
 * A conversation with a process: run, exec, attach and shell. Input and output go over frames; signals and the size of
 * the terminal too; the keys of --detach-keys leave without ending anything.
 */
import { frameJson, type ExitFrame, type FrameStream } from '../client/frame-stream.ts';
import { FRAME } from '../lib/frames.ts';
import { BerthError } from '../model/errors.ts';
import type { Context } from './command.ts';
import type { DetachKeys } from './detach-keys.ts';
import { INTERRUPTED_EXIT } from './operation.ts';

export interface SessionOptions {
  readonly stdin: boolean;
  /** The process has a terminal: keys go to it unread, and it is told the size of ours. */
  readonly terminal: boolean;
  readonly detachKeys?: DetachKeys | undefined;
  /** Input that was read for a process that never began would be lost for the one that does: read it with the first word from there. */
  readonly inputWhenStarted?: boolean | undefined;
  /** A signal to us leaves: to an init, SIGINT would be a reboot. */
  readonly leaveOnSignal?: boolean | undefined;
  /** Attach shows nothing of its own when it is left. */
  readonly onStarted?: ((what: unknown) => Promise<void>) | undefined;
}

export type SessionEnd = { readonly kind: 'exit'; readonly exit: ExitFrame } | { readonly kind: 'detached' };

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
/** So many interrupts in a row and the client leaves, whatever the daemon does. */
const IMPATIENT = 3;

/** @throws BerthError what the daemon reports; `unavailable` when the connection ends before the process did. */
export async function converse(context: Context, stream: FrameStream, options: SessionOptions): Promise<SessionEnd> {
  const { stdio } = context;
  const cleanUp: (() => void)[] = [];
  let detached = false;
  try {
    const isTerminal = options.terminal && options.stdin && (await stdio.isTerminal(0));
    if (isTerminal) cleanUp.push(await stdio.raw());
    if (options.terminal) cleanUp.push(followSize(context, stream));
    const leave = (): void => {
      detached = true;
      stream.close();
    };
    cleanUp.push(options.leaveOnSignal === true ? onSignals(leave) : forwardSignals(stream, () => isTerminal && detached));
    let waits = options.stdin;
    const takeInput = (): void => {
      if (!waits) return;
      waits = false;
      void copyInput(context, stream, isTerminal ? options.detachKeys : undefined).then((left) => {
        if (left) leave();
      }, () => undefined);
    };
    if (options.inputWhenStarted !== true) takeInput();
    for await (const frame of stream.frames()) {
      takeInput();
      if (frame.type === FRAME.stdout) await stdio.out(frame.payload);
      else if (frame.type === FRAME.stderr) await stdio.err(frame.payload);
      else if (frame.type === FRAME.started) await options.onStarted?.(frameJson(frame));
      else if (frame.type === FRAME.exit) return { kind: 'exit', exit: frameJson(frame) as ExitFrame };
    }
  } catch (error) {
    if (!detached) throw error;
  } finally {
    for (const undo of cleanUp.reverse()) undo();
    stream.close();
  }
  if (detached) return { kind: 'detached' };
  throw new BerthError('unavailable', 'The connection to the daemon ended before the process did.', { hint: 'The process goes on: `berth list` shows it, `berth attach` and `berth logs` reach it.' });
}

/** Answers true when the detach keys were pressed. */
async function copyInput(context: Context, stream: FrameStream, keys: DetachKeys | undefined): Promise<boolean> {
  for await (const chunk of context.stdio.input()) {
    const { bytes, detach } = keys === undefined ? { bytes: chunk, detach: false } : keys.filter(chunk);
    if (bytes.length > 0) await stream.input(bytes);
    if (detach) return true;
  }
  await stream.endInput();
  return false;
}

function forwardSignals(stream: FrameStream, muted: () => boolean): () => void {
  let interrupts = 0;
  const handlers = FORWARDED.map((name) => [name, () => {
    if (muted()) return;
    if (name === 'SIGINT' && ++interrupts >= IMPATIENT) process.exit(INTERRUPTED_EXIT);
    stream.signal(name).catch(() => undefined);
  }] as const);
  for (const [name, handler] of handlers) process.on(name, handler);
  return () => { for (const [name, handler] of handlers) process.off(name, handler); };
}

function onSignals(leave: () => void): () => void {
  for (const name of FORWARDED) process.on(name, leave);
  return () => { for (const name of FORWARDED) process.off(name, leave); };
}

function followSize({ stdio }: Context, stream: FrameStream): () => void {
  const tell = (): void => {
    void stdio.size().then((size) => (size === undefined ? undefined : stream.resize(size))).catch(() => undefined);
  };
  process.on('SIGWINCH', tell);
  return () => { process.off('SIGWINCH', tell); };
}
