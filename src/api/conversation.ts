/** run, exec and attach over frames: input one way, output the other, and how it ended. */
import * as z from 'zod';
import type { IoSession } from '../drivers/runtime/driver.ts';
import { FRAME, type Frame } from '../lib/frames.ts';
import { JsonError, parseJsonStrict } from '../lib/json-strict.ts';
import { parseInput } from '../model/define.ts';
import { BerthError } from '../model/errors.ts';
import { hasTerminal, hasWindow, type Instance } from '../model/instance-status.ts';
import { attachRequest, createInstanceBody, execRequest, runRequest, terminalSize } from '../model/routes.ts';
import { createInstance } from '../control/instance/create.ts';
import { attachInstance, execInstance } from '../control/instance/exec.ts';
import { idOf, runtimeOf } from '../control/instance/context.ts';
import { killInstance, resizeInstance } from '../control/instance/lifecycle.ts';
import { signalName } from '../control/instance/process.ts';
import type { Caller } from '../control/services.ts';
import type { Edge } from './context.ts';
import type { FrameSocket } from './frame-socket.ts';
import { assertSameProject } from './same-project.ts';

/** Its object is looked at by itself: what is wrong in it is named as where it is the whole request. */
const runFrame = runRequest.extend({ object: z.unknown() });

export interface StreamCall {
  readonly edge: Edge;
  readonly caller: Caller;
  readonly project: string;
  readonly name: string;
  readonly body: unknown;
  readonly frames: FrameSocket;
}

type Signal = (name: string) => Promise<void>;

const STREAM_TYPE = { stdout: FRAME.stdout, stderr: FRAME.stderr } as const;
const MAX_CHUNK = 256 * 1024;

/** Copies output until it ends. */
async function pumpOutput(session: IoSession, frames: FrameSocket): Promise<void> {
  for await (const { stream, data } of session.output) {
    for (let at = 0; at < data.length; at += MAX_CHUNK) await frames.send(STREAM_TYPE[stream], data.subarray(at, at + MAX_CHUNK));
    if (frames.isClosed) return;
  }
}

/** Carries the client's frames until it hangs up. */
async function pumpInput(session: IoSession, frames: FrameSocket, signal: Signal): Promise<void> {
  for await (const frame of frames.frames()) {
    try {
      await takeFrame(session, frame, signal);
    } catch (error) {
      // Whoever talks to a process that just ended is told by its exit, not by this.
      if (!(error instanceof BerthError) || (error.code !== 'wrongState' && error.code !== 'notFound')) throw error;
    }
  }
}

async function takeFrame(session: IoSession, frame: Frame, signal: Signal): Promise<void> {
  switch (frame.type) {
    case FRAME.stdin: return session.write(frame.payload);
    case FRAME.stdinEnd: return session.endInput();
    case FRAME.resize: return session.resize(parseInput(terminalSize, documentOf(frame), 'terminal size'));
    case FRAME.signal: return signal(signalName(parseInput(signalRequest, documentOf(frame), 'signal').signal));
    default: throw new BerthError('invalid', `Frame type ${frame.type} means nothing here.`);
  }
}

const signalRequest = z.strictObject({ signal: z.string().max(16) });

function documentOf(frame: Frame): unknown {
  try {
    return parseJsonStrict(frame.payload);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new BerthError('invalid', `A frame is not acceptable JSON: ${error.message}`);
  }
}

/**
 * Both ways at once, until the output is out and `ended` says how it ended; undefined when the client hung up first.
 * Throws when the client breaks the rules. The caller closes the session.
 */
async function carry<T>({ frames }: StreamCall, session: IoSession, signal: Signal, ended: () => Promise<T>): Promise<T | undefined> {
  const broken = new Promise<never>((_resolve, reject) => { pumpInput(session, frames, signal).catch(reject); });
  const over = pumpOutput(session, frames).then(ended);
  for (const one of [broken, over]) one.catch(() => undefined); // the race below looks at the first
  return Promise.race([over, broken, frames.closed.then(() => undefined)]);
}

/** Whoever watches has a window, and moves it; what he watches does not. */
function windowless(session: IoSession): IoSession {
  return { write: (data) => session.write(data), endInput: () => session.endInput(), resize: async () => undefined, output: session.output, close: () => session.close() };
}

/** A conversation with the workload of an instance: ends with it, or when the client hangs up. */
async function converse(call: StreamCall, session: IoSession, instance: Instance): Promise<void> {
  const { services } = call.edge.control;
  const settled = services.supervisor.settled(instance.meta.id);
  const signal = async (name: string) => { await killInstance(services, call.caller, services.registry.byId<Instance>(instance.meta.id) ?? instance, name); };
  const exit = await carry(call, hasWindow(instance) ? session : windowless(session), signal, async () => (await settled) ?? { exitCode: undefined, reason: 'unknown' });
  if (exit !== undefined) call.frames.sendJson(FRAME.exit, { exitCode: exit.exitCode ?? 255, reason: exit.reason });
}

export async function runStream(call: StreamCall): Promise<void> {
  const { services } = call.edge.control;
  const { object: wished, size } = parseInput(runFrame, call.body, 'request') as z.infer<typeof runFrame>;
  const object = parseInput(createInstanceBody, wished, 'request', '', 'instance');
  assertSameProject(object, call.project);
  let session: IoSession | undefined;
  try {
    const { done, instance: made } = await createInstance(services, call.caller, {
      project: call.project, meta: object.meta ?? {}, spec: { ...object.spec, running: true }, verb: 'instance.run',
      async beforeWorkload(starting) {
        session = await runtimeOf(services, starting).attach(idOf(starting));
        if (size !== undefined && hasWindow(starting)) await runtimeOf(services, starting).resize(idOf(starting), size);
      },
    });
    const operation = await done;
    if (operation.status.error !== undefined) {
      const { code, message, hint, fields, details } = operation.status.error;
      throw new BerthError(code, message, { hint, fields, details });
    }
    const instance = made!; // without an Idempotency-Key it is this request's own
    call.frames.sendJson(FRAME.started, { name: instance.meta.name, id: instance.meta.id });
    await converse(call, session!, instance);
  } finally {
    await session?.close();
  }
}

export async function attachStream(call: StreamCall): Promise<void> {
  const { services } = call.edge.control;
  const request = parseInput(attachRequest, call.body, 'request');
  const instance = services.registry.get<Instance>('Instance', call.project, call.name);
  const session = await attachInstance(services, call.caller, instance);
  try {
    if (request.size !== undefined && hasWindow(instance)) await resizeInstance(services, call.caller, instance, request.size);
    call.frames.sendJson(FRAME.started, { name: instance.meta.name, id: instance.meta.id, terminal: hasTerminal(instance) });
    await converse(call, session, instance);
  } finally {
    await session.close();
  }
}

export async function execStream(call: StreamCall): Promise<void> {
  const { control } = call.edge;
  const request = parseInput(execRequest, call.body, 'request');
  const instance = control.services.registry.get<Instance>('Instance', call.project, call.name);
  const session = await execInstance(control.services, control.execLimit, call.caller, instance, request);
  try {
    call.frames.sendJson(FRAME.started, {});
    const exit = await carry(call, session, (name) => session.signal(name), () => session.exit);
    if (exit !== undefined) call.frames.sendJson(FRAME.exit, { exitCode: exit.exitCode, reason: 'exited' });
  } finally {
    await session.close();
  }
}
