/** OpenAPI 3.1 from the routes and kinds: nothing is written twice. */
import * as z from 'zod';
import { ERROR_CODES } from './errors.ts';
import { ROUTES, type Route } from './routes.ts';
import { VERBS } from './verbs.ts';

type Json = Record<string, unknown>;

function schemaOf(schema: z.ZodType): unknown {
  return z.toJSONSchema(schema, { target: 'draft-2020-12', unrepresentable: 'any', io: 'input' });
}

function operation(route: Route): Json {
  const verb = VERBS[route.verb];
  const parameters: Json[] = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => ({ name: match[1], in: 'path', required: true, schema: { type: 'string' } }));
  for (const [name, schema] of Object.entries(route.query?.shape ?? {})) parameters.push({ name, in: 'query', required: false, schema: schemaOf(schema as z.ZodType) });
  const answer = route.stream === 'upgrade' ? { 101: { description: 'Frames both ways follow.' } } : { [verb.long ? 202 : 200]: { description: verb.long ? 'The operation.' : 'The answer.' } };
  return {
    operationId: verb.name, summary: verb.summary, tags: [verb.kind], parameters, 'x-permission': verb.permission,
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(route.body) } } } }),
    ...(route.stream === 'upload' ? { requestBody: { required: true, content: { 'application/octet-stream': {} } } } : {}),
    responses: { ...answer, default: { $ref: '#/components/responses/Problem' } },
  };
}

let document: Json | undefined;

export function openapiDocument(version: string): Json {
  return (document ??= {
    openapi: '3.1.0',
    info: { title: 'Berth', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths: paths(),
    components: {
      responses: { Problem: { description: 'An error (RFC 9457).', content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } } },
      schemas: {
        Problem: {
          type: 'object', required: ['type', 'title', 'status', 'detail', 'code', 'requestId'],
          properties: { type: { type: 'string' }, title: { type: 'string' }, status: { type: 'integer' }, detail: { type: 'string' }, code: { enum: ERROR_CODES }, hint: { type: 'string' }, requestId: { type: 'string' }, fields: { type: 'array', items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } } } },
        },
      },
    },
  });
}

function paths(): Json {
  const all: Record<string, Json> = {};
  for (const route of ROUTES) (all[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  return all;
}
