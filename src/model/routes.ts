/**
 * Every route, as data: the HTTP edge serves it, the client calls it, OpenAPI lists it. A route cannot exist without a
 * verb, and a verb carries its permission.
 *
 * Conventions
 * - Objects have the shape of section “model”; lists are {kind, revision, items}. Project `-` means all projects (lists).
 * - Long verbs answer 202 with an Operation; `?waitMs=N` (≤ 600000) holds the answer until the operation is finished
 *   (200) or the time is up (202).
 * - Errors are RFC 9457 problem+json: {type, title, status, detail, code, hint?, fields?, details?, requestId}.
 * - PATCH is a JSON merge patch on {meta: {labels, owner, purpose}, spec}; `If-Match: "GENERATION"` is honoured.
 * - `Idempotency-Key` (12–64 characters [0-9a-z-]) on a create: the same key answers the same operation.
 * - `stream: 'watch'`: ?watch=1&revision=N answers NDJSON, one {type: 'put'|'delete', revision, object|key} a line,
 *   after a first line {type: 'list', revision, items}; 410 with code `changed` when N is no longer kept.
 * - `stream: 'upgrade'`: `Connection: Upgrade`, `Upgrade: berth-stream/1`, answered 101 and then frames (lib/frames.ts)
 *   both ways. The client's first frame is `request` (type 9, JSON).
 * - `stream: 'frames'`: a chunked response of frames. `stream: 'body'`: raw bytes. `stream: 'lines'`: NDJSON.
 */
import * as z from 'zod';
import { adviseRequest } from './advise-request.ts';
import { figures } from './figures.ts';
import { instanceSpec } from './instance.ts';
import { API_VERSION, metaInput } from './meta.ts';
import { networkSpec } from './network.ts';
import { credentialsByRegistry, registryCredentials, registryName } from './registry-access.ts';
import { projectSpec } from './project.ts';
import { dataText, environmentName, nameText, plainText, workDirectory } from './text.ts';
import type { VerbName } from './verbs.ts';
import { volumeSpec } from './volume.ts';

export interface Route {
  readonly verb: VerbName;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** {project} and {name} are parameters. */
  readonly path: string;
  readonly body?: z.ZodType;
  readonly query?: z.ZodObject;
  readonly stream?: 'watch' | 'upgrade' | 'frames' | 'body' | 'lines' | 'upload';
}

export const terminalSize = z.strictObject({ rows: z.number().int().min(1).max(10_000), columns: z.number().int().min(1).max(10_000) });

function objectBody<S extends z.ZodType>(kind: string, spec: S) {
  return z.strictObject({
    apiVersion: z.literal(API_VERSION).optional(), kind: z.literal(kind).optional(), meta: metaInput.optional(), spec,
  });
}

export const createInstanceBody = objectBody('Instance', instanceSpec);
export const createVolumeBody = objectBody('Volume', volumeSpec.default({ type: 'filesystem' }));
export const createNetworkBody = objectBody('Network', networkSpec.default({ isolated: false, internal: false }));
export const createProjectBody = objectBody('Project', projectSpec.default({}));

/** The first frame of `instance.run`. */
export const runRequest = z.strictObject({
  object: createInstanceBody,
  /** Ends when the instance started (`run -d` uses plain create). */
  size: terminalSize.optional(),
});
/** The first frame of `instance.exec`. */
export const execRequest = z.strictObject({
  command: z.array(dataText(131_072)).min(1).max(4096),
  env: z.record(environmentName, dataText(131_072)).optional(),
  workdir: workDirectory.optional(),
  user: plainText(256).optional(),
  terminal: z.boolean().optional(),
  stdin: z.boolean().optional(),
  size: terminalSize.optional(),
});
export type ExecRequest = z.infer<typeof execRequest>;
/** The first frame of `instance.attach`. */
export const attachRequest = z.strictObject({ stdin: z.boolean().optional(), size: terminalSize.optional() });

/** One merge patch for every kind: fields of meta that people own, and the spec. */
export const patchBody = z.strictObject({
  apiVersion: z.literal(API_VERSION).optional(), kind: z.string().optional(),
  meta: z.record(z.string(), z.unknown()).optional(), spec: z.record(z.string(), z.unknown()).optional(),
});

const flag = z.stringbool({ truthy: ['1', 'true'], falsy: ['0', 'false'] });
/** Of an instance: `..` means there what it means to the instance. */
const copyPath = plainText(4096, 'a path').refine((path) => path.startsWith('/'), { message: 'must be absolute' });
const waitQuery = z.strictObject({ waitMs: z.coerce.number().int().min(0).max(600_000).optional() });
/** `filter` may repeat: KEY=VALUE with name, state, form, label (label=K or label=K=V), image, network, volume. */
const listQuery = z.strictObject({
  watch: flag.optional(), revision: z.coerce.number().int().min(0).optional(), filter: z.union([z.string(), z.array(z.string())]).optional(), limit: z.coerce.number().int().min(1).max(10_000).optional(),
});
const referenceQuery = z.strictObject({ reference: z.string().max(512) });

const P = '/v1/projects/{project}';
const I = `${P}/instances/{name}`;

export const ROUTES: readonly Route[] = [
  { verb: 'instance.list', method: 'GET', path: `${P}/instances`, query: listQuery, stream: 'watch' },
  { verb: 'instance.create', method: 'POST', path: `${P}/instances`, body: createInstanceBody, query: waitQuery },
  { verb: 'instance.run', method: 'GET', path: `${P}/instances/-/run`, stream: 'upgrade' },
  { verb: 'instance.stats', method: 'GET', path: `${P}/instances/-/stats`, query: z.strictObject({}) },
  /** Answers {items: [{name, form, processes, isPartial, machine?, problem?}]}, of those that `name` names or of all that run. Commands are hostile, as all that an instance says. */
  { verb: 'instance.top', method: 'GET', path: `${P}/instances/-/processes`, query: z.strictObject({ name: z.union([z.string().max(63), z.array(z.string().max(63)).max(1000)]).optional() }) },
  { verb: 'instance.get', method: 'GET', path: I },
  { verb: 'instance.update', method: 'PATCH', path: I, body: patchBody },
  { verb: 'instance.delete', method: 'DELETE', path: I, query: waitQuery.extend({ force: flag.optional() }) },
  { verb: 'instance.start', method: 'POST', path: `${I}/start`, query: waitQuery },
  { verb: 'instance.stop', method: 'POST', path: `${I}/stop`, query: waitQuery.extend({ graceMs: z.coerce.number().int().min(0).max(3_600_000).optional() }) },
  { verb: 'instance.restart', method: 'POST', path: `${I}/restart`, query: waitQuery.extend({ graceMs: z.coerce.number().int().min(0).max(3_600_000).optional() }) },
  { verb: 'instance.kill', method: 'POST', path: `${I}/kill`, query: z.strictObject({ signal: z.string().max(16).optional() }) },
  { verb: 'instance.pause', method: 'POST', path: `${I}/pause` },
  { verb: 'instance.resume', method: 'POST', path: `${I}/resume` },
  { verb: 'instance.rename', method: 'POST', path: `${I}/rename`, body: z.strictObject({ name: nameText }) },
  { verb: 'instance.resize', method: 'POST', path: `${I}/resize`, body: terminalSize },
  /** Answers {state, exitCode?, reason?} when the instance is in one of the states (comma-separated; stopped,failed when missing; `removed` counts as reached by all). */
  { verb: 'instance.wait', method: 'GET', path: `${I}/wait`, query: z.strictObject({ state: z.string().max(200).optional(), timeoutMs: z.coerce.number().int().min(0).max(86_400_000).optional() }) },
  { verb: 'instance.logs', method: 'GET', path: `${I}/logs`, query: z.strictObject({ follow: flag.optional(), tail: z.coerce.number().int().min(0).optional(), timestamps: flag.optional(), since: z.string().max(64).optional() }), stream: 'frames' },
  /** Of VMs of disk images: image/png. What is on the screen is the guest's own word. */
  { verb: 'instance.screenshot', method: 'GET', path: `${I}/screenshot`, stream: 'body' },
  { verb: 'instance.evidence', method: 'GET', path: `${I}/evidence` },
  { verb: 'instance.exec', method: 'GET', path: `${I}/exec`, stream: 'upgrade' },
  { verb: 'instance.attach', method: 'GET', path: `${I}/attach`, stream: 'upgrade' },
  /** A file or a tree as a tar archive whose root has the last word of the path as its name, `.` for DIR/. – hostile, as all that an instance says. */
  { verb: 'instance.copyOut', method: 'GET', path: `${I}/files`, query: z.strictObject({ path: copyPath, follow: flag.optional() }), stream: 'body' },
  /** Body: a tar archive. `extract`: into the directory `path`; else where `docker cp` would put its root. `archive` keeps owners. Answers {}. */
  { verb: 'instance.copyIn', method: 'PUT', path: `${I}/files`, query: z.strictObject({ path: copyPath, extract: flag.optional(), archive: flag.optional() }), stream: 'upload' },

  { verb: 'image.list', method: 'GET', path: `${P}/images`, query: listQuery, stream: 'watch' },
  { verb: 'image.get', method: 'GET', path: `${P}/images/-/get`, query: referenceQuery },
  { verb: 'image.tag', method: 'POST', path: `${P}/images/-/tag`, body: z.strictObject({ reference: plainText(512), newReference: plainText(512) }) },
  { verb: 'image.delete', method: 'DELETE', path: `${P}/images/-/delete`, query: referenceQuery.extend({ force: flag.optional(), waitMs: z.coerce.number().optional() }) },
  /** {name: busybox | debian:bookworm | debian:trixie}. The result of the operation is {reference, imageId}. */
  { verb: 'image.bootstrap', method: 'POST', path: `${P}/images/-/bootstrap`, body: z.strictObject({ name: plainText(64), include: z.array(plainText(64)).max(256).optional(), as: plainText(512).optional(), command: z.array(dataText(4096)).max(64).optional(), entrypoint: z.array(dataText(4096)).max(64).optional(), env: z.record(environmentName, dataText(4096)).optional(), user: plainText(256).optional(), workdir: workDirectory.optional() }), query: waitQuery },
  /** Credentials, by registry, are used for this operation and kept nowhere. The result of the operation is {reference, imageId, digest, namedDigest, changed}. */
  { verb: 'image.pull', method: 'POST', path: `${P}/images/-/pull`, body: z.strictObject({ reference: plainText(512), platform: plainText(64).optional(), credentials: credentialsByRegistry.optional() }), query: waitQuery },
  /** To `destination`, or to where its name says. The result of the operation is {reference, digest}. */
  { verb: 'image.push', method: 'POST', path: `${P}/images/-/push`, body: z.strictObject({ reference: plainText(512), destination: plainText(512).optional(), credentials: credentialsByRegistry.optional() }), query: waitQuery },
  /** Between registries with all platforms unless one is named; a short name that is here, or localhost/NAME, is an image of this host. */
  { verb: 'image.copy', method: 'POST', path: `${P}/images/-/copy`, body: z.strictObject({ source: plainText(512), destination: plainText(512), platform: plainText(64).optional(), credentials: credentialsByRegistry.optional() }), query: waitQuery },
  /** Answers {deleted: [{id, references}], freedBytes}. */
  { verb: 'image.prune', method: 'POST', path: `${P}/images/-/prune`, body: z.strictObject({ all: z.boolean() }) },
  /** Answers {items: [{name, project, digest, bytes, sharedBytes, ownBytes, instances}]}. */
  { verb: 'image.usage', method: 'GET', path: `${P}/images/-/usage` },
  /** Body: the archive, or a disk of the format that `disk` says; then `as` is its name. Answers {images: [{reference, id}]}. */
  { verb: 'image.import', method: 'POST', path: `${P}/images/-/import`, query: z.strictObject({ as: z.string().max(512).optional(), disk: z.enum(['raw', 'qcow2', 'iso']).optional() }), stream: 'upload' },
  { verb: 'image.export', method: 'GET', path: `${P}/images/-/export`, query: referenceQuery.extend({ format: z.enum(['oci-archive', 'docker-archive', 'rootfs', 'raw']).optional() }), stream: 'body' },

  { verb: 'volume.list', method: 'GET', path: `${P}/volumes`, query: listQuery, stream: 'watch' },
  { verb: 'volume.create', method: 'POST', path: `${P}/volumes`, body: createVolumeBody, query: waitQuery },
  { verb: 'volume.get', method: 'GET', path: `${P}/volumes/{name}` },
  { verb: 'volume.delete', method: 'DELETE', path: `${P}/volumes/{name}`, query: waitQuery },
  { verb: 'volume.update', method: 'PATCH', path: `${P}/volumes/{name}`, body: patchBody },
  { verb: 'network.list', method: 'GET', path: `${P}/networks`, query: listQuery, stream: 'watch' },
  { verb: 'network.create', method: 'POST', path: `${P}/networks`, body: createNetworkBody, query: waitQuery },
  { verb: 'network.get', method: 'GET', path: `${P}/networks/{name}` },
  { verb: 'network.delete', method: 'DELETE', path: `${P}/networks/{name}`, query: waitQuery },

  { verb: 'operation.list', method: 'GET', path: `${P}/operations`, query: listQuery, stream: 'watch' },
  { verb: 'operation.get', method: 'GET', path: `${P}/operations/{name}` },
  /** NDJSON of the operation, a line for each change, until it is finished. */
  { verb: 'operation.wait', method: 'GET', path: `${P}/operations/{name}/wait`, stream: 'lines' },
  { verb: 'operation.cancel', method: 'POST', path: `${P}/operations/{name}/cancel` },
  { verb: 'event.list', method: 'GET', path: `${P}/events`, query: listQuery, stream: 'watch' },
  { verb: 'audit.list', method: 'GET', path: `${P}/audit`, query: listQuery },

  { verb: 'project.list', method: 'GET', path: '/v1/projects', query: listQuery, stream: 'watch' },
  { verb: 'project.create', method: 'POST', path: '/v1/projects', body: createProjectBody },
  { verb: 'project.get', method: 'GET', path: '/v1/projects/{name}' },
  { verb: 'project.update', method: 'PATCH', path: '/v1/projects/{name}', body: patchBody },
  { verb: 'project.delete', method: 'DELETE', path: '/v1/projects/{name}', query: waitQuery },
  { verb: 'pool.list', method: 'GET', path: '/v1/pools', query: listQuery },
  { verb: 'pool.get', method: 'GET', path: '/v1/pools/{name}' },
  { verb: 'node.list', method: 'GET', path: '/v1/nodes', query: listQuery },
  { verb: 'node.get', method: 'GET', path: '/v1/nodes/{name}' },
  /** Answers {search: [registry], items: [{name, mirrors}]}: whose credentials a pull may need. */
  { verb: 'registry.list', method: 'GET', path: '/v1/registries' },
  /** Answers {registry, identityToken?}: a token is to be kept in the password's place. */
  { verb: 'registry.login', method: 'POST', path: '/v1/registries/-/login', body: registryCredentials.extend({ registry: registryName }) },
  { verb: 'system.df', method: 'GET', path: '/v1/system/df' },
  { verb: 'system.templates', method: 'GET', path: '/v1/system/templates' },
  { verb: 'system.pruneTemplates', method: 'POST', path: '/v1/system/templates/prune', body: z.strictObject({ unusedForMs: z.number().int().min(0).max(100 * 366 * 86_400_000).default(0) }) },
  { verb: 'node.setFigures', method: 'POST', path: '/v1/nodes/{name}/figures', body: figures },
  /** Answers the advice in the format that the body asks for; nothing is kept. */
  { verb: 'advise.estate', method: 'POST', path: '/v1/advise', body: adviseRequest },
  /** Running instances of the project, or those that `name` names, weighed again. Answers {figures, items}. */
  { verb: 'advise.review', method: 'GET', path: `${P}/advise`, query: z.strictObject({ name: z.union([z.string().max(63), z.array(z.string().max(63)).max(1000)]).optional() }) },
  { verb: 'debug.leaks', method: 'GET', path: '/v1/debug/leaks' },
  { verb: 'debug.steps', method: 'GET', path: '/v1/debug/steps' },
];
