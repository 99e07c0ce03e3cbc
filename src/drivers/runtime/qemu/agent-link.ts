/**
 * A connection to the agent of one guest. The guest is hostile: every answer has a deadline and a schema, a session may
 * send what was granted and no more, and what nobody asked for is counted; who breaks a rule loses the connection.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { BerthError } from '../../../model/errors.ts';
import {
  agentFailure, badAnswer, encodeFields, encodeFrame, FRAME, FrameReader, decodeFields, parseHello, STREAM_WINDOW_BYTES, SYNC_BYTES,
  type Fields, type Frame, type FrameType, type Hello,
} from '../../../model/agent-protocol.ts';
import { connectUnix } from '../../../host/unix-connect.ts';

/** What an agent may send without having been asked. */
const MAX_UNASKED_BYTES = 4 * 1024 * 1024;
/** What a session that ended on our word may still have under way: its window, in small frames. */
const LATE_BYTES = 4 * STREAM_WINDOW_BYTES;

export interface SessionSink {
  /** Frames of this session; throwing ends the connection. */
  take(frame: Frame): void;
  /** The connection is gone. */
  lost(error: BerthError): void;
}

interface Waiting {
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: BerthError) => void;
}

export class AgentLink implements Disposable {
  readonly hello: Hello;
  /** Resolves when the connection is over, with the reason. */
  readonly over: Promise<BerthError>;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #sessions = new Map<number, SessionSink>();
  #next: number;
  #unasked = 0;
  #ended: BerthError | undefined;
  #settleOver!: (error: BerthError) => void;

  private constructor(socket: Socket, hello: Hello) {
    this.#socket = socket;
    this.hello = hello;
    this.#next = Math.max(0, ...hello.sessions) + 1;
    this.over = new Promise((resolve) => {
      this.#settleOver = resolve;
    });
  }

  /** Errors: `unavailable` (no such machine), `timeout`, `unsupported` (protocol). */
  static async connect(socketPath: string, nonce: string, timeoutMs: number, signal?: AbortSignal): Promise<AgentLink> {
    const sync = new Uint8Array(SYNC_BYTES);
    sync.set(Buffer.from(nonce, 'hex'));
    sync.set(randomBytes(SYNC_BYTES - nonce.length / 2), nonce.length / 2);
    const reader = new FrameReader(sync);
    const socket = await connectUnix(socketPath).catch((cause: unknown) => {
      throw new BerthError('unavailable', 'The machine does not answer.', { cause });
    });
    socket.on('error', () => undefined); // 'close' follows
    let early: Frame[] = [];
    let link: AgentLink | undefined;
    try {
      const hello = await new Promise<Hello>((resolve, reject) => {
        const timer = setTimeout(() => { reject(new BerthError('timeout', `The guest's agent did not answer within ${timeoutMs} ms.`)); }, timeoutMs);
        const abort = (): void => { reject(signal!.reason as Error); };
        if (signal?.aborted === true) abort();
        signal?.addEventListener('abort', abort, { once: true });
        socket.once('close', () => {
          clearTimeout(timer);
          reject(new BerthError('unavailable', 'The machine ended before its agent answered.'));
        });
        socket.on('data', (chunk: Buffer) => {
          try {
            const frames = reader.push(chunk);
            if (link !== undefined) {
              for (const frame of frames) link.#take(frame);
              return;
            }
            early.push(...frames);
            if (early.length === 0) return;
            clearTimeout(timer);
            signal?.removeEventListener('abort', abort);
            if (early[0]!.type !== FRAME.hello) throw badAnswer('no hello');
            const said = parseHello(early[0]!.payload);
            link = new AgentLink(socket, said);
            for (const frame of early.slice(1)) link.#take(frame);
            early = [];
            resolve(said);
          } catch (error) {
            const problem = error instanceof BerthError ? error : badAnswer(String(error));
            if (link !== undefined) link.#end(problem);
            reject(problem);
            socket.destroy();
          }
        });
        socket.write(sync);
      });
      const ready = link!;
      socket.once('close', () => { ready.#end(new BerthError('unavailable', 'The machine is gone.')); });
      socket.write(encodeFrame(FRAME.welcome, 0, encodeFields({ protocol: hello.protocol })));
      // Processes that an earlier daemon executed have nobody who listens any more.
      for (const session of hello.sessions) socket.write(encodeFrame(FRAME.close, session));
      return ready;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Sends a request and waits for `ok`. Errors: the agent's own, `timeout`, `unavailable`. */
  async request(type: FrameType, fields: Fields, timeoutMs: number): Promise<ReadonlyMap<string, readonly string[]>> {
    return decodeFields(await this.requestRaw(type, fields, timeoutMs));
  }

  requestRaw(type: FrameType, fields: Fields, timeoutMs: number, sink?: (session: number) => SessionSink): Promise<Uint8Array> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const number = this.#next++;
    const frame = encodeFrame(type, number, encodeFields(fields));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(number);
        if (this.#sessions.delete(number)) this.send(encodeFrame(FRAME.close, number));
        reject(new BerthError('timeout', `The guest's agent did not answer within ${timeoutMs} ms.`));
      }, timeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(number);
      };
      this.#waiting.set(number, {
        resolve: (payload) => {
          settle();
          resolve(payload);
        },
        reject: (error) => {
          settle();
          this.#sessions.delete(number);
          reject(error);
        },
      });
      if (sink !== undefined) this.#sessions.set(number, sink(number));
      this.#socket.write(frame);
    });
  }

  /** Nobody waits for an answer. Resolves when the kernel took the bytes. */
  send(frame: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended !== undefined) resolve();
      else this.#socket.write(frame, () => { resolve(); });
    });
  }

  /** Frames of this session that still come are nobody's, and for a while no fault of the guest's. */
  forget(session: number): void {
    if (this.#sessions.delete(session)) this.#unasked -= LATE_BYTES;
  }

  [Symbol.dispose](): void {
    this.#end(new BerthError('unavailable', 'The connection to the guest was closed.'));
  }

  #take(frame: Frame): void {
    if (this.#ended !== undefined) return;
    const waiting = this.#waiting.get(frame.session);
    if (frame.type === FRAME.ok && waiting !== undefined) return waiting.resolve(frame.payload);
    if (frame.type === FRAME.error && waiting !== undefined) return waiting.reject(agentFailure(frame.payload));
    const session = this.#sessions.get(frame.session);
    if (session !== undefined && frame.type >= FRAME.stdout) return session.take(frame);
    this.#unasked += frame.payload.length + 64;
    if (this.#unasked > MAX_UNASKED_BYTES) throw badAnswer('too much that nobody asked for');
  }

  #end(error: BerthError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#socket.destroy();
    for (const waiting of [...this.#waiting.values()]) waiting.reject(error);
    for (const session of [...this.#sessions.values()]) session.lost(error);
    this.#sessions.clear();
    this.#settleOver(error);
  }
}
