/** instance.logs: frames of output, as they were written. */
import { parseDuration } from '../lib/duration.ts';
import { encodeFrame, FRAME } from '../lib/frames.ts';
import { BerthError } from '../model/errors.ts';
import type { Instance } from '../model/instance-status.ts';
import { idOf, runtimeOf } from '../control/instance/context.ts';
import type { Call } from './context.ts';
import { drained } from './drained.ts';

const UP: ReadonlySet<string> = new Set(['starting', 'running', 'paused', 'stopping', 'unsupervised', 'backoff']);

export async function streamLogs(call: Call, instance: Instance): Promise<unknown> {
  const { services } = call.edge.control;
  const runtime = runtimeOf(services, instance);
  const abort = new AbortController();
  call.reply.raw.on('close', () => abort.abort());
  const lines = call.edge.readLog({
    files: () => runtime.logFiles(idOf(instance)),
    tail: call.query['tail'] as number | undefined,
    sinceMs: since(call.query['since'] as string | undefined, services.clock.nowMs()),
    follow: call.query['follow'] === true,
    ended: () => !UP.has(services.registry.byId<Instance>(instance.meta.id)?.status.state ?? 'gone'),
    signal: abort.signal,
  });
  call.reply.hijack();
  const { raw } = call.reply;
  raw.writeHead(200, { 'content-type': 'application/vnd.berth.frames', 'x-request-id': call.caller.requestId });
  raw.flushHeaders();
  const timestamps = call.query['timestamps'] === true;
  try {
    for await (const line of lines) {
      const payload = Buffer.from(timestamps ? `${line.time} ${line.text}` : line.text);
      if (raw.destroyed) break;
      if (!raw.write(encodeFrame(line.stream === 'stdout' ? FRAME.stdout : FRAME.stderr, payload))) await drained(raw);
    }
  } finally {
    raw.end();
  }
  return call.reply;
}

/** A moment (RFC 3339, seconds since 1970) or how long ago (10m). */
function since(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^\d{4}-/.test(text) && !Number.isNaN(Date.parse(text))) return Date.parse(text);
  try {
    return nowMs - parseDuration(text);
  } catch {
    throw new BerthError('invalid', `'${text.slice(0, 40)}' is not a moment.`, { hint: 'Write 10m, 2026-01-31T12:00:00Z or seconds since 1970.' });
  }
}
