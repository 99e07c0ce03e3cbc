/** The HTTP edge: routes from the model, one parsed and bounded body that both the rights and the handler see. */
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { BerthError } from '../model/errors.ts';
import { ROUTES, type Route } from '../model/routes.ts';
import { VERBS } from '../model/verbs.ts';
import { describe } from '../control/journal.ts';
import type { Call, Edge, Handler } from './context.ts';
import { EDGE_GUARDS, type EdgeGuards } from './guards.ts';
import { openapiDocument } from '../model/openapi.ts';
import { problemOf, translateHttpError } from './problem.ts';
import { assertSameProject } from './same-project.ts';
import { adviseRoutes } from './routes/advise.ts';
import { debugRoutes } from './routes/debug.ts';
import { imageRoutes } from './routes/image.ts';
import { instanceRoutes } from './routes/instance.ts';
import { registryRoutes } from './routes/registry.ts';
import { objectRoutes } from './routes/objects.ts';
import { acceptUpgrades } from './upgrade.ts';

const KIB = 1024;
const LIMITS = {
  bodyBytes: 1024 * KIB, headerBytes: 16 * KIB, parameterLength: 128, connections: 2000,
  headersTimeoutMs: 10_000, checkEveryMs: 5_000, bodyTimeoutMs: 30_000, uploadPauseMs: 60_000, keepAliveTimeoutMs: 75_000, requestsPerSocket: 100_000,
} as const;

const handlers: Readonly<Record<string, Handler>> = { ...instanceRoutes, ...imageRoutes, ...objectRoutes, ...registryRoutes, ...debugRoutes, ...adviseRoutes };

export async function makeServer(edge: Edge): Promise<FastifyInstance<HttpServer>> {
  const guards = edge.guards ?? EDGE_GUARDS;
  const answerProblem = (raw: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const error = translateHttpError(raw);
    if (!(error instanceof BerthError) || error.code === 'internal') edge.log.error({ requestId: request.id, url: request.url.slice(0, 500), error: describe(error) }, 'a request met a bug');
    const problem = problemOf(error, request.id);
    return reply.code(problem.status).header('x-request-id', request.id).header('content-type', 'application/problem+json').send(JSON.stringify(problem));
  };
  const app = fastify<HttpServer>({
    bodyLimit: LIMITS.bodyBytes,
    routerOptions: { maxParamLength: LIMITS.parameterLength, caseSensitive: true },
    onProtoPoisoning: 'error', onConstructorPoisoning: 'error',
    genReqId: edge.requestId,
    frameworkErrors: (error, request, reply) => { answerProblem(error, request as FastifyRequest, reply as unknown as FastifyReply); },
    // Counted by hand (bodyMustArrive): an upload may take as long as it moves.
    requestTimeout: 0, keepAliveTimeout: LIMITS.keepAliveTimeoutMs, maxRequestsPerSocket: LIMITS.requestsPerSocket,
    http: { maxHeaderSize: LIMITS.headerBytes, headersTimeout: LIMITS.headersTimeoutMs, connectionsCheckingInterval: LIMITS.checkEveryMs },
    forceCloseConnections: true,
  });
  app.server.maxConnections = LIMITS.connections;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) => guards.strictBody(body));
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('cache-control', 'no-store');
    guards.notCrossSite(request.headers);
  });
  app.setErrorHandler(answerProblem);
  app.setNotFoundHandler((request) => {
    throw new BerthError('notFound', `There is no ${request.method} ${request.url.slice(0, 200)} here.`, { hint: 'GET /v1/openapi.json lists the routes.' });
  });
  for (const route of ROUTES) if (route.stream !== 'upgrade') addRoute(app, edge, route);
  app.get('/v1/openapi.json', async () => openapiDocument(edge.version));
  app.get('/v1/version', async () => ({ version: edge.version, apiVersion: 'berth/v1', features: edge.features }));
  app.get('/healthz', async () => ({ status: 'ok' }));
  const cutStreams = acceptUpgrades(app.server, edge);
  app.addHook('preClose', async () => cutStreams());
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

/** What a route does not take is refused, not ignored. */
function bodyOf(route: Route, guards: EdgeGuards, body: unknown): unknown {
  if (route.body !== undefined) return guards.input(route.body, body, 'request', '', route.verb.split('.')[0]);
  if (route.stream === 'upload') return body;
  const empty = body === undefined || body === null || (typeof body === 'object' && Object.keys(body).length === 0 && !(body instanceof Readable));
  if (!empty) throw new BerthError('invalid', `${route.verb} takes no body.`, { fields: [{ path: '', message: 'no body is due here' }] });
  return undefined;
}

function addRoute(app: FastifyInstance<HttpServer>, edge: Edge, route: Route): void {
  const handler = handlers[route.verb];
  if (handler === undefined) throw new TypeError(`${route.verb} has a route and no handler`);
  const guards = edge.guards ?? EDGE_GUARDS;
  app.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    ...(route.stream === 'upload' ? { bodyLimit: Number.MAX_SAFE_INTEGER } : {}),
    onRequest: async (request) => bodyMustArrive(edge, request.raw, route.stream === 'upload'),
    async handler(request, reply) {
      const caller = guards.caller(edge.identifyPeer(request.raw.socket), request.id);
      guards.permission(caller, VERBS[route.verb].permission);
      const parameters = request.params as { project?: string; name?: string };
      const body = bodyOf(route, guards, request.body);
      assertSameProject(body, parameters.project);
      const call: Call = {
        edge, caller, request, reply, headers: request.headers,
        project: parameters.project ?? '', name: parameters.name ?? '',
        body, query: route.query === undefined ? {} : (guards.input(route.query, request.query, 'query') as Record<string, unknown>),
      };
      // Long answers are for whoever waits: the limits above are for requests that arrive slowly.
      request.raw.socket.setTimeout(0);
      return handler(call);
    },
  });
}
