/** What a route handler gets: the call, checked and parsed; and what the edge is made of. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Control } from '../control/control.ts';
import type { Caller, Logger } from '../control/services.ts';
import type { IdentifyPeer } from './caller.ts';
import type { EdgeGuards } from './guards.ts';

/** Reads an instance's log; handed in, because the edge opens no files. */
export interface LogSource {
  (request: { files(): Promise<readonly string[]>; tail?: number | undefined; sinceMs?: number | undefined; follow: boolean; ended(): boolean; signal: AbortSignal }): AsyncIterable<{ readonly time: string; readonly stream: 'stdout' | 'stderr'; readonly text: string }>;
}

export interface Edge {
  readonly control: Control;
  readonly log: Logger;
  readonly identifyPeer: IdentifyPeer;
  readonly readLog: LogSource;
  readonly version: string;
  /** Names of what this server can do beyond the first release: clients ask for a name, never for a version. */
  readonly features: readonly string[];
  readonly requestId: () => string;
  /** All of them when missing. */
  readonly guards?: EdgeGuards | undefined;
}

export interface Call {
  readonly edge: Edge;
  readonly caller: Caller;
  readonly project: string;
  readonly name: string;
  readonly body: unknown;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: FastifyRequest['headers'];
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Answers the value as JSON, unless it took over the reply itself. */
export type Handler = (call: Call) => Promise<unknown>;
