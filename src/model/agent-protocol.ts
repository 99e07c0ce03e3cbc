/**
 * What the daemon and the agent inside a virtual machine say to each other; mirrored in native/agent/wire.h.
 *
 * Link: the host opens the agent's socket and sends a sync word (the boot's nonce, 16 bytes, and 8 bytes of its own);
 * the agent throws away what was under way, answers the same word and a `hello`. From then on both sides send frames:
 *   u32 length of payload · u8 type · u32 session · payload      (little endian, payload ≤ 1 MiB)
 * Payloads are raw bytes for streams and fields for the rest: a run of `name=value` texts, each ended by NUL, a repeated
 * name is a list. A request's session number is its own; `ok` or `error` with the same number answers it. `exec` makes
 * its number a session that lives until `exit` or `close`.
 * What an agent says is a claim of the guest: every answer is checked here, bounded, and used as a label only.
 */
import { z } from 'zod';
import { BerthError } from './errors.ts';
import { printable } from './ids.ts';

export const PROTOCOL = { min: 1, max: 1 } as const;
export const SYNC_BYTES = 24;
export const NONCE_BYTES = 16;
export const FRAME_HEADER_BYTES = 9;
export const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** Bytes that one side may send on a session's stream before the other grants more. */
export const STREAM_WINDOW_BYTES = 256 * 1024;
const MAX_FIELDS = 8192;

export const FRAME = {
  // host → guest
  welcome: 1, ping: 2, setup: 3, create: 4, start: 5, exec: 6, stdin: 7, stdinEnd: 8, window: 9, resize: 10, signal: 11,
  stats: 12, close: 13, shutdown: 14, clock: 15, update: 16, prepare: 17,
  // guest → host
  hello: 64, ok: 65, error: 66, pong: 67, stdout: 68, stderr: 69, exit: 70, grant: 71,
} as const;
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  readonly type: number;
  readonly session: number;
  readonly payload: Uint8Array;
}

export type Fields = Readonly<Record<string, string | number | boolean | readonly (string | number)[] | undefined>>;

/** `true` is 1, `false` and undefined are left out. Throws `invalid` when a text holds a NUL or the whole is too large. */
export function encodeFields(fields: Fields): Uint8Array {
  let text = '';
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === false) continue;
    for (const one of Array.isArray(value) ? value as readonly (string | number)[] : [value === true ? 1 : value as string | number]) {
      const item = String(one);
      if (item.includes('\0')) throw new BerthError('invalid', `A value for '${name}' holds a NUL character.`);
      text += `${name}=${item}\0`;
    }
  }
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > MAX_PAYLOAD_BYTES) throw new BerthError('invalid', 'Arguments and environment together are larger than 1 MiB.');
  return bytes;
}

/** Throws `invalid` on anything malformed. */
export function decodeFields(payload: Uint8Array): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  if (payload.length === 0) return fields;
  if (payload[payload.length - 1] !== 0) throw badAnswer('fields without an end');
  const texts = new TextDecoder().decode(payload.subarray(0, -1)).split('\0', MAX_FIELDS + 1);
  if (texts.length > MAX_FIELDS) throw badAnswer('too many fields');
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) throw badAnswer('a field without a name');
    const name = text.slice(0, at), list = fields.get(name);
    if (list === undefined) fields.set(name, [text.slice(at + 1)]);
    else list.push(text.slice(at + 1));
  }
  return fields;
}

export function encodeFrame(type: FrameType, session: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  if (payload.length > MAX_PAYLOAD_BYTES) throw new BerthError('invalid', 'A message to the guest is larger than 1 MiB.');
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  const words = new DataView(bytes.buffer);
  words.setUint32(0, payload.length, true);
  words.setUint8(4, type);
  words.setUint32(5, session, true);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

export function encodeWindow(session: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, bytes, true);
  return encodeFrame(FRAME.window, session, payload);
}

const natural = z.string().regex(/^\d{1,15}$/).transform(Number);

const HELLO = z.object({
  'protocol-min': z.tuple([natural]),
  'protocol-max': z.tuple([natural]),
  agent: z.tuple([z.string().max(64)]),
  state: z.tuple([z.enum(['booted', 'ready', 'created', 'running', 'exited'])]),
  session: z.array(natural).max(256).default([]),
});

export interface Hello {
  /** The highest version that both sides speak. */
  readonly protocol: number;
  readonly agent: string;
  readonly state: 'booted' | 'ready' | 'created' | 'running' | 'exited';
  /** Processes executed on behalf of an earlier connection that still live. */
  readonly sessions: readonly number[];
}

/** Errors: `invalid` (malformed), `unsupported` (no version in common). */
export function parseHello(payload: Uint8Array): Hello {
  const hello = parse(HELLO, payload);
  const protocol = Math.min(PROTOCOL.max, hello['protocol-max'][0]);
  if (protocol < PROTOCOL.min || protocol < hello['protocol-min'][0]) {
    throw new BerthError('unsupported', `The guest's agent speaks protocol ${hello['protocol-min'][0]} to ${hello['protocol-max'][0]}, this daemon ${PROTOCOL.min} to ${PROTOCOL.max}.`, { hint: 'Restart the instance: it then boots with the agent of this version.' });
  }
  return { protocol, agent: printable(hello.agent[0]), state: hello.state[0], sessions: hello.session };
}

const AGENT_ERRORS = ['invalid', 'notFound', 'notExecutable', 'wrongState', 'exhausted', 'unsupported', 'timeout', 'internal'] as const;
const FAILURE = z.object({ code: z.tuple([z.enum(AGENT_ERRORS)]), message: z.tuple([z.string().max(1024)]) });

/**
 * The agent's refusal as our error. `details.exitCode` is docker's for a program that could not be executed: 127 when
 * there is none, 126 when it is none.
 */
export function agentFailure(payload: Uint8Array): BerthError {
  const { code: [code], message: [message] } = parse(FAILURE, payload);
  const said = printable(message);
  if (code === 'notFound') return new BerthError('notFound', `The command could not be found: ${said}.`, { details: { exitCode: 127 } });
  if (code === 'notExecutable') return new BerthError('invalid', `The command could not be executed: ${said}.`, { details: { exitCode: 126 } });
  return new BerthError(code, `The guest refused: ${said}.`);
}

const EXIT = z.object({ code: z.tuple([natural.pipe(z.number().max(255))]) });

export function parseExit(payload: Uint8Array): number {
  return parse(EXIT, payload).code[0];
}

const STATS = z.object({ 'memory-total': z.tuple([natural]), 'memory-available': z.tuple([natural]), pids: z.tuple([natural]), 'oom-kills': z.tuple([natural]) });

export interface GuestStats {
  readonly memoryTotalBytes: number;
  readonly memoryAvailableBytes: number;
  readonly pids: number;
  readonly oomKills: number;
}

export function parseStats(payload: Uint8Array): GuestStats {
  const stats = parse(STATS, payload);
  return { memoryTotalBytes: stats['memory-total'][0], memoryAvailableBytes: stats['memory-available'][0], pids: stats.pids[0], oomKills: stats['oom-kills'][0] };
}

export function parseGrant(payload: Uint8Array): number {
  if (payload.length !== 4) throw badAnswer('a grant of a wrong size');
  const bytes = new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0, true);
  if (bytes === 0) throw badAnswer('a grant of nothing');
  return Math.min(STREAM_WINDOW_BYTES, bytes);
}

function parse<T extends z.ZodType>(schema: T, payload: Uint8Array): z.infer<T> {
  const result = schema.safeParse(Object.fromEntries(decodeFields(payload)));
  if (!result.success) throw badAnswer(`unexpected fields (${result.error.issues.slice(0, 3).map((issue) => issue.path.join('.')).join(', ')})`);
  return result.data;
}

export function badAnswer(what: string): BerthError {
  return new BerthError('unavailable', `The guest's agent answered something that makes no sense: ${printable(what)}.`);
}

/** Cuts the incoming bytes into frames, each byte copied once, however small the pieces are. Holds at most one frame. */
export class FrameReader {
  #sync: Uint8Array | undefined;
  /** What may be the beginning of the sync word. */
  #tail = new Uint8Array();
  #skipped = 0;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  readonly #words = new DataView(this.#header.buffer);
  #headerBytes = 0;
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;

  /** Everything up to the agent's answer to `sync` belongs to an earlier connection. */
  constructor(sync: Uint8Array) {
    this.#sync = sync;
  }

  get synced(): boolean {
    return this.#sync === undefined;
  }

  /** Throws `unavailable` when the guest breaks the rules; the reader is of no use after that. */
  push(chunk: Uint8Array): readonly Frame[] {
    const data = this.#sync === undefined ? chunk : this.#seek(chunk, this.#sync);
    const frames: Frame[] = [];
    for (let at = 0; ;) {
      if (this.#payload === undefined) {
        const part = data.subarray(at, at + FRAME_HEADER_BYTES - this.#headerBytes);
        this.#header.set(part, this.#headerBytes);
        this.#headerBytes += part.length;
        at += part.length;
        if (this.#headerBytes < FRAME_HEADER_BYTES) return frames;
        const length = this.#words.getUint32(0, true);
        if (length > MAX_PAYLOAD_BYTES) throw badAnswer(`a frame of ${length} bytes`);
        this.#payload = new Uint8Array(length);
        this.#payloadBytes = 0;
      }
      const part = data.subarray(at, at + this.#payload.length - this.#payloadBytes);
      this.#payload.set(part, this.#payloadBytes);
      this.#payloadBytes += part.length;
      at += part.length;
      if (this.#payloadBytes < this.#payload.length) return frames;
      frames.push({ type: this.#words.getUint8(4), session: this.#words.getUint32(5, true), payload: this.#payload });
      this.#payload = undefined;
      this.#headerBytes = 0;
    }
  }

  /** What comes behind the sync word. */
  #seek(chunk: Uint8Array, sync: Uint8Array): Uint8Array {
    const data = this.#tail.length === 0 ? chunk : concat(this.#tail, chunk);
    const at = indexOf(data, sync);
    if (at >= 0) {
      this.#sync = undefined;
      this.#tail = new Uint8Array();
      return data.subarray(at + sync.length);
    }
    const kept = Math.min(data.length, sync.length - 1);
    this.#skipped += data.length - kept;
    if (this.#skipped > 4 * MAX_PAYLOAD_BYTES) throw badAnswer('no sync word');
    this.#tail = data.slice(data.length - kept);
    return new Uint8Array();
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

function indexOf(data: Uint8Array, word: Uint8Array): number {
  outer: for (let at = data.indexOf(word[0]!); at >= 0 && at + word.length <= data.length; at = data.indexOf(word[0]!, at + 1)) {
    for (let i = 1; i < word.length; i++) if (data[at + i] !== word[i]) continue outer;
    return at;
  }
  return -1;
}
