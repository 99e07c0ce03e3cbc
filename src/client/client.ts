/**
 * The API from the other side: every verb of model/routes.ts by its name. One connection a request; whoever holds a
 * stream closes it.
 */
import { BerthError } from '../model/errors.ts';
import type { VerbName } from '../model/verbs.ts';
import type { AnsweredVerb, Answers } from './answers.ts';
import { joined } from './byte-reader.ts';
import { connect as connectByRuntime, type Connect } from './connection.ts';
import { parseEndpoint, type Endpoint } from './endpoint.ts';
import { FrameStream } from './frame-stream.ts';
import { ROUTE_TABLE } from './generated/route-table.ts';
import { exchange, type HttpResponse } from './http-exchange.ts';
import { jsonLines } from './json-lines.ts';
import { problemError } from './problem.ts';

export interface CallInput {
  /** Of the route's path; the client's own when missing. */
  readonly project?: string | undefined;
  readonly name?: string | undefined;
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>> | undefined;
  readonly body?: unknown;
  readonly ifMatch?: number | undefined;
  readonly idempotencyKey?: string | undefined;
}

export interface ClientOptions {
  /** `unix:/path`; the default socket when missing. */
  readonly host?: string | undefined;
  /** `default` when missing; `-` means all, in lists. */
  readonly project?: string | undefined;
  /** Replaced in tests. */
  readonly connect?: Connect | undefined;
}

const STREAM_PROTOCOL = 'berth-stream/1';
/** An answer that is held in memory: the list of some ten thousand objects fits. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const encoder = new TextEncoder();

export class Client {
  readonly endpoint: Endpoint;
  readonly project: string;
  readonly #connect: Connect;

  constructor({ host, project = 'default', connect = connectByRuntime }: ClientOptions = {}) {
    this.endpoint = parseEndpoint(host);
    this.project = project;
    this.#connect = connect;
  }

  /** @throws BerthError what the daemon answered, `unavailable` when none does. */
  async call<V extends AnsweredVerb>(verb: V, input: CallInput = {}): Promise<Answers[V]> {
    return (await this.#json(await this.open(verb, input))) as Answers[V];
  }

  /** A route whose answer is a stream of bytes; the caller closes the response's connection. */
  async open(verb: VerbName, input: CallInput = {}): Promise<HttpResponse> {
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (input.ifMatch !== undefined) headers['If-Match'] = `"${input.ifMatch}"`;
    if (input.idempotencyKey !== undefined) headers['Idempotency-Key'] = input.idempotencyKey;
    if (input.body !== undefined) headers['Content-Type'] = 'application/json';
    const body = input.body === undefined ? undefined : encoder.encode(JSON.stringify(input.body));
    return this.#send(ROUTE_TABLE[verb].method, this.#target(verb, input), headers, body);
  }

  /** Sends bytes of any length. */
  async upload<V extends AnsweredVerb>(verb: V, input: CallInput, bytes: AsyncIterable<Uint8Array>): Promise<Answers[V]> {
    const response = await this.#send(ROUTE_TABLE[verb].method, this.#target(verb, input), { 'Content-Type': 'application/octet-stream' }, bytes);
    return (await this.#json(response)) as Answers[V];
  }

  /** NDJSON, a value a line, until the daemon ends it or the loop is left. */
  async *lines(verb: VerbName, input: CallInput = {}): AsyncGenerator<unknown> {
    const response = await this.open(verb, input);
    try {
      yield* jsonLines(response);
    } finally {
      response.connection.close();
    }
  }

  /** Leaves HTTP for frames; `request` is the first of them. */
  async stream(verb: VerbName, input: CallInput, request: unknown): Promise<FrameStream> {
    const response = await this.#send('GET', this.#target(verb, input), { Connection: 'Upgrade', Upgrade: STREAM_PROTOCOL });
    if (response.status !== 101) {
      response.connection.close();
      throw new BerthError('unavailable', 'The daemon did not open a stream.', { hint: 'Is it as new as this command? `berth version` tells.' });
    }
    const stream = new FrameStream(response);
    await stream.request(request);
    return stream;
  }

  /** A path that is in no route table (`/v1/version`, `/v1/openapi.json`). */
  async path(path: string): Promise<unknown> {
    return this.#json(await this.#send('GET', path, {}));
  }

  async #send(method: string, target: string, headers: Readonly<Record<string, string>>, body?: Uint8Array | AsyncIterable<Uint8Array>): Promise<HttpResponse> {
    const connection = await this.#connect(this.endpoint);
    try {
      const response = await exchange(connection, { method, target, headers, body });
      if (response.status < 400) return response;
      throw problemError(parsed(await bodyBytes(response)), response.status);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async #json(response: HttpResponse): Promise<unknown> {
    try {
      const bytes = await bodyBytes(response);
      return bytes.length === 0 ? {} : parsed(bytes);
    } finally {
      response.connection.close();
    }
  }

  #target(verb: VerbName, { project = this.project, name, query = {} }: CallInput): string {
    const path = ROUTE_TABLE[verb].path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => {
      const value = parameter === 'project' ? project : name;
      if (value === undefined || value === '') throw new BerthError('invalid', `${verb} needs a name.`);
      return encodeURIComponent(value);
    });
    const pairs = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : (Array.isArray(value) ? (value as readonly string[]) : [String(value)])
      .map((one) => `${encodeURIComponent(key)}=${encodeURIComponent(one)}`)));
    return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
  }
}

async function bodyBytes(response: HttpResponse): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const chunk = await response.read();
    if (chunk === undefined) return joined(parts, length);
    parts.push(chunk);
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new BerthError('exhausted', 'The daemon answered more than this command can hold.', { hint: 'Ask for less with --filter.' });
  }
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new BerthError('unavailable', 'The daemon answered something that is not JSON.', { cause: error, hint: 'Does --host or BERTH_HOST name the socket of a Berth daemon?' });
  }
}
