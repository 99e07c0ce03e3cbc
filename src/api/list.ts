/** Lists and watches, the same for every kind. */
import { BerthError } from '../model/errors.ts';
import { FORMS, ISOLATIONS } from '../model/forms.ts';
import { isFinished, OPERATION_STATES, type Operation } from '../model/operation.ts';
import { INSTANCE_STATES, type Instance } from '../model/instance-status.ts';
import { KINDS, type KindName } from '../model/kinds.ts';
import type { BerthObject } from '../model/meta.ts';
import type { Project } from '../model/project.ts';
import { decodeObject, objectKey, type Entry, type Registry } from '../control/registry.ts';
import { printable } from '../model/ids.ts';
import type { Call } from './context.ts';
import { EDGE_GUARDS } from './guards.ts';
import { problemOf } from './problem.ts';

/** Answers {kind, revision, items} from texts that were made when the objects were written. */
export async function listObjects(call: Call, kind: KindName): Promise<unknown> {
  const { registry } = call.edge.control.services;
  assertProject(call);
  if (call.query['watch'] === true) return watchObjects(call, kind);
  const matches = matcher(kind, call.query['filter']);
  const limit = (call.query['limit'] as number | undefined) ?? Infinity;
  const texts: string[] = [];
  for (const entry of registry.entries(kind, call.project === '-' || call.project === '' ? undefined : call.project)) {
    if (texts.length >= limit) break;
    if (matches(entry.object)) texts.push(kind === 'Operation' ? JSON.stringify(shown(call, current(call, entry.object as Operation))) : listedText(call, entry));
  }
  return call.reply.header('content-type', 'application/json').send(`{"kind":"${kind}List","revision":${registry.revision},"items":[${texts.join(',')}]}`);
}

/** A misspelt project has no objects, and nobody would notice. */
function assertProject({ project, edge }: Call): void {
  if (project !== '' && project !== '-') edge.control.services.registry.get('Project', '', project);
}

const textOf = new WeakMap<BerthObject, string>();

/** Made once for each version of an object, unless it says something about others. */
function listedText(call: Call, { object, json }: Entry): string {
  if (object.kind === 'Project') return JSON.stringify(shown(call, object));
  const known = textOf.get(object);
  if (known !== undefined) return known;
  const safe = shown(call, object);
  const text = safe === object ? json() : JSON.stringify(safe);
  textOf.set(object, text);
  return text;
}

/** With the progress of this moment. */
function current(call: Call, operation: Operation): Operation {
  return call.edge.control.services.journal.get(operation.meta.project, operation.meta.name) ?? operation;
}

/** So many records are looked at for a filter that few pass. */
const MOST_LOOKED_AT = 20_000;

/** Records that only grow are read from the store, newest last. */
export async function listRecords(call: Call, kind: 'Event' | 'AuditRecord'): Promise<unknown> {
  const { registry } = call.edge.control.services;
  assertProject(call);
  if (call.query['watch'] === true) return watchObjects(call, kind);
  const limit = Math.min((call.query['limit'] as number | undefined) ?? 1000, 5000);
  const matches = matcher(kind, call.query['filter']);
  const keep = (item: BerthObject): boolean => inProject(item, call.project) && matches(item);
  // The newest first: mostly there are enough of them.
  for (let back = limit * 4; ; back *= 8) {
    const items = await recordsSince(registry, kind, registry.sequence - Math.min(back, MOST_LOOKED_AT), keep);
    if (items.length >= limit || back >= registry.sequence || back >= MOST_LOOKED_AT) return { kind: `${kind}List`, revision: registry.revision, items: items.slice(-limit) };
  }
}

async function recordsSince(registry: Registry, kind: 'Event' | 'AuditRecord', sequence: number, keep: (item: BerthObject) => boolean): Promise<BerthObject[]> {
  const items: BerthObject[] = [];
  let after: string | undefined = String(Math.max(0, sequence)).padStart(14, '0');
  for (;;) {
    const page: { readonly items: readonly BerthObject[]; readonly more: boolean } = await registry.records(kind, after);
    items.push(...page.items.filter(keep));
    after = page.items.at(-1)?.meta.name;
    if (!page.more || after === undefined) return items;
  }
}

function inProject(object: BerthObject, project: string): boolean {
  const target = (object.spec as { target?: { project?: string } }).target?.project;
  return project === '-' || project === '' || target === project || target === '' || target === undefined;
}

type Match = (object: BerthObject) => boolean;

const FILTERS: Readonly<Record<string, (object: BerthObject, value: string) => boolean>> = {
  name: (object, value) => object.meta.name.includes(value),
  id: (object, value) => object.meta.id.startsWith(value),
  state: (object, value) => (object.status as { state?: string }).state === value,
  status: (object, value) => (object.status as { state?: string }).state === value,
  form: (object, value) => (object.status as { form?: string }).form === value,
  isolation: (object, value) => (object.status as { isolation?: string }).isolation === value,
  image: (object, value) => ((object as Instance).status.imageReference ?? '').includes(value),
  network: (object, value) => ((object as Instance).status.ports ?? []).some((port) => port.network === value),
  volume: (object, value) => Object.hasOwn((object as Instance).status.volumes ?? {}, value),
  owner: (object, value) => object.meta.owner === value,
  type: (object, value) => ((object.spec as { type?: string }).type ?? '').startsWith(value),
  target: (object, value) => (object.spec as { target?: { name?: string } }).target?.name === value,
  label(object, value) {
    const equals = value.indexOf('=');
    const labels = object.meta.labels ?? {};
    return equals < 0 ? Object.hasOwn(labels, value) : labels[value.slice(0, equals)] === value.slice(equals + 1);
  },
};

/** Keys whose values are known: a misspelt one would silently match nothing. */
const FILTER_VALUES: Readonly<Record<string, readonly string[]>> = { form: FORMS, isolation: ISOLATIONS.filter((one) => one !== 'auto') };

/** States differ by kind; a kind without a closed list takes any. */
const STATES: Readonly<Partial<Record<KindName, readonly string[]>>> = { Instance: INSTANCE_STATES, Operation: OPERATION_STATES };

function assertFilterValue(kind: KindName, key: string, value: string): void {
  const known = key === 'state' || key === 'status' ? STATES[kind] : FILTER_VALUES[key];
  if (known === undefined || known.includes(value)) return;
  throw new BerthError('invalid', `'${printable(value)}' is not a ${key === 'status' ? 'state' : key} that ${KINDS[kind].plural} can have.`, { hint: `One of ${known.join(', ')}.`, fields: [{ path: 'filter', message: `unknown ${key}` }] });
}

/** Filters of different keys must all hold; of the same key, one. As docker. */
function matcher(kind: KindName, filter: unknown): Match {
  const all = filter === undefined ? [] : Array.isArray(filter) ? (filter as string[]) : [String(filter)];
  if (all.length > 32) throw new BerthError('invalid', 'There are more than 32 filters.');
  const byKey = Map.groupBy(all.map((text) => {
    const equals = text.indexOf('=');
    const key = equals < 0 ? text : text.slice(0, equals);
    if (equals < 0 || !Object.hasOwn(FILTERS, key)) throw new BerthError('invalid', `'${printable(text)}' is not a filter.`, { hint: `Write KEY=VALUE with one of ${Object.keys(FILTERS).join(', ')}.` });
    const value = text.slice(equals + 1);
    assertFilterValue(kind, key, value);
    return { key, value };
  }), (one) => one.key);
  return (object) => [...byKey].every(([key, values]) => values.some(({ value }) => FILTERS[key]!(object, value)));
}

const HEARTBEAT_MS = 15_000;
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

/** NDJSON: the list, then every change after it. A reader that falls behind is let go, not waited for. */
async function watchObjects(call: Call, kind: KindName): Promise<unknown> {
  const { registry, clock } = call.edge.control.services;
  const matches = matcher(kind, call.query['filter']);
  const asked = call.query['revision'] as number | undefined;
  const prefix = objectKey(kind, call.project === '-' || call.project === '' || GROWING.has(kind) ? '' : call.project, '').replace(/\/\/$/, '/');
  const abort = new AbortController();
  call.reply.raw.on('close', () => abort.abort());
  const since = asked ?? registry.revision;
  // Asking before the head is sent: a revision that is no longer kept is an answer of its own.
  const changes = registry.store.watch(prefix, since, abort.signal)[Symbol.asyncIterator]();
  let next = changes.next();
  if (asked !== undefined && asked !== registry.revision) await Promise.race([next.then(() => undefined), new Promise((resolve) => { clock.after(50, () => resolve(undefined)); })]);
  call.reply.hijack();
  const { raw } = call.reply;
  raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'x-request-id': call.caller.requestId });
  const send = (value: unknown) => raw.write(`${JSON.stringify(value)}\n`);
  if (asked === undefined) send({ type: 'list', revision: since, items: listed(registry, kind, call, matches).map((one) => shown(call, one)) });
  else raw.flushHeaders();
  let beat: (() => void) | undefined;
  const schedule = () => { beat = clock.after(HEARTBEAT_MS, () => { raw.write('\n'); schedule(); }); };
  schedule();
  try {
    for (;;) {
      const { done, value: batch } = await next;
      if (done === true) break;
      next = changes.next();
      for (const event of batch.events) {
        if (event.type === 'delete') send({ type: 'delete', revision: batch.revision, key: event.key.split('/').slice(2).join('/') });
        else {
          const object = decodeObject(event.value.value, batch.revision);
          if (matches(object) && (!GROWING.has(kind) || inProject(object, call.project))) send({ type: 'put', revision: batch.revision, object: shown(call, object) });
        }
      }
      // What waits for it is dropped with the connection: a reader that reads gets the end of it and asks again.
      if (raw.writableLength > MAX_WAITING_BYTES) raw.destroy();
    }
  } catch (error) {
    const { code, message } = problemOf(error, call.caller.requestId);
    if (!abort.signal.aborted) send({ type: 'error', code, message });
  } finally {
    beat?.();
    abort.abort();
    raw.end();
  }
  return call.reply;
}

/** Kinds that only grow lie outside of projects; what they speak of lies inside. */
const GROWING: ReadonlySet<string> = new Set(['Event', 'AuditRecord']);

/** As clients see it among others. */
function shown(call: Call, object: BerthObject): BerthObject {
  if (object.kind === 'Operation') return publicOperation(object as Operation);
  return object.kind === 'Project' ? countedProject(call, object as Project) : (call.edge.guards ?? EDGE_GUARDS).withoutSecrets(object);
}

/** With what lies in it at this moment. */
export function countedProject(call: Call, project: Project): Project {
  return { ...project, status: { ...project.status, instances: call.edge.control.services.registry.entries('Instance', project.meta.name).length } };
}

function listed(registry: Registry, kind: KindName, call: Call, matches: Match): readonly BerthObject[] {
  if (GROWING.has(kind)) return [];
  return registry.list(kind, call.project === '-' || call.project === '' ? undefined : call.project).filter(matches);
}

/** 202 with the operation, or 200 when it is over within the time that the caller gives it. */
export async function answerOperation(call: Call, started: { readonly operation: Operation; readonly done: Promise<Operation> }): Promise<unknown> {
  const { services } = call.edge.control;
  const waitMs = (call.query['waitMs'] as number | undefined) ?? 0;
  if (waitMs === 0) return call.reply.code(202).send(publicOperation(started.operation));
  let cancel: (() => void) | undefined;
  const late = new Promise<undefined>((resolve) => { cancel = services.clock.after(waitMs, () => resolve(undefined)); });
  const finished = await Promise.race([started.done, late]);
  cancel?.();
  const operation = finished ?? services.journal.get(started.operation.meta.project, started.operation.meta.name) ?? started.operation;
  return call.reply.code(isFinished(operation) ? 200 : 202).send(publicOperation(operation));
}

/** Without the journal's own facts. */
export function publicOperation(operation: Operation): Operation {
  const { arguments: _arguments, ...spec } = operation.spec;
  return { ...operation, spec };
}
