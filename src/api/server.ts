/** The HTTP edge: routes from the model, one parsed and bounded body that both the rights and the handler see. */
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { JsonError, parseJsonStrict } from '../lib/json-strict.ts';
import { parseInput } from '../model/define.ts';
import { BerthError } from '../model/errors.ts';
import { ROUTES, type Route } from '../model/routes.ts';
import { VERBS } from '../model/verbs.ts';
import { describe } from '../control/journal.ts';
import { assertNotCrossSite, assertPermission, callerOf } from './caller.ts';
import type { Call, Edge, Handler } from './context.ts';
import { openapiDocument } from '../model/openapi.ts';
import { problemOf, translateHttpError } from './problem.ts';
import { debugRoutes } from './routes/debug.ts';
import { imageRoutes } from './routes/image.ts';
import { instanceRoutes } from './routes/instance.ts';
import { objectRoutes } from './routes/objects.ts';
import { acceptUpgrades } from './upgrade.ts';

const KIB = 1024;
const LIMITS = {
  bodyBytes: 1024 * KIB, headerBytes: 16 * KIB, parameterLength: 128, connections: 2000,
  headersTimeoutMs: 10_000, bodyTimeoutMs: 30_000, uploadPauseMs: 60_000, keepAliveTimeoutMs: 75_000, requestsPerSocket: 100_000,
} as const;

const handlers: Readonly<Record<string, Handler>> = { ...instanceRoutes, ...imageRoutes, ...objectRoutes, ...debugRoutes };

export async function makeServer(edge: Edge): Promise<FastifyInstance<HttpServer>> {
  const app = fastify<HttpServer>({
    bodyLimit: LIMITS.bodyBytes,
    routerOptions: { maxParamLength: LIMITS.parameterLength, caseSensitive: true },
    onProtoPoisoning: 'error', onConstructorPoisoning: 'error',
    genReqId: edge.requestId,
    // Counted by hand (bodyMustArrive): an upload may take as long as it moves.
    requestTimeout: 0, keepAliveTimeout: LIMITS.keepAliveTimeoutMs, maxRequestsPerSocket: LIMITS.requestsPerSocket,
    http: { maxHeaderSize: LIMITS.headerBytes, headersTimeout: LIMITS.headersTimeoutMs },
    forceCloseConnections: true,
  });
  app.server.maxConnections = LIMITS.connections;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) => strictBody(body));
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('cache-control', 'no-store');
    assertNotCrossSite(request.headers);
  });
  app.setErrorHandler((raw, request, reply) => {
    const error = translateHttpError(raw);
    if (!(error instanceof BerthError)) edge.log.error({ requestId: request.id, url: request.url, error: describe(error) }, 'a request met a bug');
    const problem = problemOf(error, request.id);
    return reply.code(problem.status).header('content-type', 'application/problem+json').send(JSON.stringify(problem));
  });
  app.setNotFoundHandler((request) => {
    throw new BerthError('notFound', `There is no ${request.method} ${request.url.slice(0, 200)} here.`, { hint: 'GET /v1/openapi.json lists the routes.' });
  });
  for (const route of ROUTES) if (route.stream !== 'upgrade') addRoute(app, edge, route);
  app.get('/v1/openapi.json', async () => openapiDocument(edge.version));
  app.get('/v1/version', async () => ({ version: edge.version, apiVersion: 'berth/v1', features: edge.features }));
  app.get('/healthz', async () => ({ status: 'ok' }));
  acceptUpgrades(app.server, edge);
  await app.ready();
  return app;
}

/** A body that comes too slowly ends the connection: as a whole within a time, an upload without a long pause. */
function bodyMustArrive(edge: Edge, request: IncomingMessage, upload: boolean): void {
  const { clock } = edge.control.services;
  if (request.complete) return;
  const end = () => request.socket.destroy();
  let cancel = clock.after(upload ? LIMITS.uploadPauseMs : LIMITS.bodyTimeoutMs, end);
  const arrived = () => cancel();
  request.once('end', arrived).once('close', arrived);
  if (!upload) return;
  let seen = 0;
  const look = () => {
    if (request.complete || request.destroyed) return;
    const bytes = request.socket.bytesRead;
    // A reader that is slower than the sender is no fault of the sender's.
    if (bytes === seen && !request.isPaused() && request.readableLength === 0) return void end();
    seen = bytes;
    cancel = clock.after(LIMITS.uploadPauseMs, look);
  };
  cancel();
  cancel = clock.after(LIMITS.uploadPauseMs, look);
}

/** One document, the same for rights and handlers: no repeated keys, no prototype keys, bounded depth. */
export function strictBody(body: Uint8Array): unknown {
  try {
    return parseJsonStrict(body);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new BerthError('invalid', `The body is not acceptable JSON: ${error.message}`, { fields: [{ path: error.path, message: error.message }] });
  }
}

function addRoute(app: FastifyInstance<HttpServer>, edge: Edge, route: Route): void {
  const handler = handlers[route.verb];
  if (handler === undefined) throw new TypeError(`${route.verb} has a route and no handler`);
  app.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    ...(route.stream === 'upload' ? { bodyLimit: Number.MAX_SAFE_INTEGER } : {}),
    onRequest: async (request) => bodyMustArrive(edge, request.raw, route.stream === 'upload'),
    async handler(request, reply) {
      const caller = callerOf(edge.identifyPeer(request.raw.socket), request.id);
      assertPermission(caller, VERBS[route.verb].permission);
      const parameters = request.params as { project?: string; name?: string };
      const call: Call = {
        edge, caller, request, reply, headers: request.headers,
        project: parameters.project ?? '', name: parameters.name ?? '',
        body: route.body === undefined ? request.body : parseInput(route.body, request.body, 'request'),
        query: route.query === undefined ? {} : (parseInput(route.query, request.query, 'query') as Record<string, unknown>),
      };
      // Long answers are for whoever waits: the limits above are for requests that arrive slowly.
      request.raw.socket.setTimeout(0);
      return handler(call);
    },
  });
}
