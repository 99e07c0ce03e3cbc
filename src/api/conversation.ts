/** run, exec and attach over frames: input one way, output the other, and how it ended. */
import type * as z from 'zod';
import type { IoSession } from '../drivers/runtime/driver.ts';
import { FRAME, jsonOfFrame, type Frame } from '../lib/frames.ts';
import { parseInput } from '../model/define.ts';
import { BerthError } from '../model/errors.ts';
import type { Instance } from '../model/instance-status.ts';
import { attachRequest, execRequest, runRequest, terminalSize } from '../model/routes.ts';
import { createInstance } from '../control/instance/create.ts';
import { attachInstance, execInstance } from '../control/instance/exec.ts';
import { idOf, runtimeOf } from '../control/instance/context.ts';
import { killInstance, resizeInstance } from '../control/instance/lifecycle.ts';
import { signalName } from '../control/instance/process.ts';
import type { Caller } from '../control/services.ts';
import type { Edge } from './context.ts';
import type { FrameSocket } from './frame-socket.ts';

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
    case FRAME.resize: return session.resize(parseInput(terminalSize, jsonOfFrame(frame), 'terminal size'));
    case FRAME.signal: return signal(signalName(String((jsonOfFrame(frame) as { signal?: unknown } | null)?.signal)));
    default: throw new BerthError('invalid', `Frame type ${frame.type} means nothing here.`);
  }
}

/** A conversation with the workload of an instance: ends with it, or when the client hangs up. */
async function converse(call: StreamCall, session: IoSession, instance: Instance): Promise<void> {
  const { services } = call.edge.control;
  const input = pumpInput(session, call.frames, async (name) => { await killInstance(services, call.caller, services.registry.byId<Instance>(instance.meta.id) ?? instance, name); });
  input.catch(() => call.frames.end());
  await Promise.race([pumpOutput(session, call.frames), call.frames.closed]);
}

export async function runStream(call: StreamCall): Promise<void> {
  const { services } = call.edge.control;
  const request = parseInput(runRequest, call.body, 'request') as z.infer<typeof runRequest>;
  let session: IoSession | undefined;
  const { done, instance: made } = await createInstance(services, call.caller, {
    project: call.project, meta: request.object.meta ?? {}, spec: { ...request.object.spec, running: true }, verb: 'instance.run',
    async beforeWorkload(made) {
      session = await runtimeOf(services, made).attach(idOf(made));
      if (request.size !== undefined && request.object.spec.terminal === true) await runtimeOf(services, made).resize(idOf(made), request.size);
    },
  });
  const operation = await done;
  if (operation.status.error !== undefined) {
    const { code, message, hint, fields, details } = operation.status.error;
    throw new BerthError(code, message, { hint, fields, details });
  }
  const instance = made!; // without an Idempotency-Key it is this request's own
  call.frames.sendJson(FRAME.started, { name: instance.meta.name, id: instance.meta.id });
  const settled = services.supervisor.settled(instance.meta.id);
  try {
    await converse(call, session!, instance);
    if (call.frames.isClosed) return;
    const exit = await settled;
    call.frames.sendJson(FRAME.exit, { exitCode: exit?.exitCode ?? 255, reason: exit?.reason ?? 'unknown' });
  } finally {
    await session!.close();
    call.frames.end();
  }
}

export async function attachStream(call: StreamCall): Promise<void> {
  const { services } = call.edge.control;
  const request = parseInput(attachRequest, call.body, 'request');
  const instance = services.registry.get<Instance>('Instance', call.project, call.name);
  const session = await attachInstance(services, call.caller, instance);
  const settled = services.supervisor.settled(instance.meta.id);
  try {
    if (request.size !== undefined && instance.spec.terminal === true) await resizeInstance(services, call.caller, instance, request.size);
    call.frames.sendJson(FRAME.started, { name: instance.meta.name, id: instance.meta.id, terminal: instance.spec.terminal ?? false });
    await converse(call, session, instance);
    if (call.frames.isClosed) return;
    const exit = await settled;
    call.frames.sendJson(FRAME.exit, { exitCode: exit?.exitCode ?? 255, reason: exit?.reason ?? 'unknown' });
  } finally {
    await session.close();
    call.frames.end();
  }
}

export async function execStream(call: StreamCall): Promise<void> {
  const { control } = call.edge;
  const request = parseInput(execRequest, call.body, 'request');
  const instance = control.services.registry.get<Instance>('Instance', call.project, call.name);
  const session = await execInstance(control.services, control.execLimit, call.caller, instance, request);
  try {
    call.frames.sendJson(FRAME.started, {});
    const input = pumpInput(session, call.frames, (name) => session.signal(name));
    input.catch(() => call.frames.end());
    await Promise.race([pumpOutput(session, call.frames), call.frames.closed]);
    if (call.frames.isClosed) return;
    const { exitCode } = await session.exit;
    call.frames.sendJson(FRAME.exit, { exitCode, reason: 'exited' });
  } finally {
    await session.close();
    call.frames.end();
  }
}
