/**
 * A17: hostile texts in every place of every route that takes a text: path, query, headers, each field of each body, the
 * first frame of each stream. The places come from the routes themselves, so that a new field is tried without another
 * line. Either it is refused with a sentence, or what is stored and told to the drivers is harmless.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as z from 'zod';
import { FakeApi, type ApiAnswer } from '../../test/lib/fake-api.ts';
import { HOSTILE_TEXTS, hostileTexts } from '../../test/lib/hostile-texts.ts';
import { Life, type OutsideCall } from '../../test/lib/mortal.ts';
import { textPlaces } from '../../test/lib/text-places.ts';
import { FRAME } from '../lib/frames.ts';
import { ERROR_CODES } from '../model/errors.ts';
import { NAME_PATTERN } from '../model/ids.ts';
import { attachRequest, createInstanceBody, createProjectBody, createVolumeBody, execRequest, ROUTES, runRequest, type Route } from '../model/routes.ts';
import { VERBS } from '../model/verbs.ts';

const PROJECT = '/v1/projects/default';
const INSTANCES = `${PROJECT}/instances`;
/** What may not end up in an argument of a driver. */
const HARMFUL = /[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|(^|\/)\.\.?(\/|$)|^-/;

let api: FakeApi;
const calls: OutsideCall[] = [];

before(async () => {
  const life = new Life();
  life.before = (call) => { if (call.on === 'storage' || call.on === 'network') calls.push(call); };
  api = await FakeApi.open({ life });
  // The document that is right but for one text speaks of these.
  for (const [kind, name] of [['networks', 'busybox'], ['volumes', 'busybox']] as const) await api.request('POST', `${PROJECT}/${kind}?waitMs=60000`, { meta: { name } });
});
after(() => api[Symbol.asyncDispose]());

/** What a route's parameters name. Made again when the last request took it away. */
async function subjectOf(route: Route): Promise<string> {
  const kind = VERBS[route.verb].kind.toLowerCase();
  if (!route.path.includes('{name}')) return '';
  switch (kind) {
    case 'instance':
      if (api.world.find('subject') === undefined) await api.create('subject', { running: true, command: ['sleep'] });
      return 'subject';
    case 'volume': case 'network': return 'busybox';
    case 'project': return 'default';
    default: return kind === 'pool' ? 'default' : 'node1';
  }
}

async function urlOf(route: Route): Promise<string> {
  return route.path.replace('{project}', 'default').replace('{name}', await subjectOf(route));
}

function assertAnswer(answer: ApiAnswer, where: string): void {
  const shown = `${where}: ${answer.status} ${answer.text.slice(0, 400)}`;
  if (answer.status < 400) return assert.ok(answer.status >= 200 && answer.status < 300, shown);
  const { code, detail } = answer.body as { code: string; detail: string };
  assert.ok(ERROR_CODES.includes(code as never) && code !== 'internal' && typeof detail === 'string' && detail.length > 0, shown);
  // 507 and 503 say that something ran out or does not answer, which no text can bring about.
  assert.ok(answer.status < 500, shown);
  assert.doesNotMatch(answer.text, /ENOENT|EACCES|node:internal|\.ts:\d|root:x:/, shown);
  assert.doesNotMatch(JSON.stringify(answer.headers), /x-injected/i, shown);
}

/** What a create made goes again: the fakes have as many addresses as a real network. */
async function tidy(answer: ApiAnswer): Promise<void> {
  const result = answer.body?.status?.result as { name?: string } | undefined;
  const made = answer.body?.kind === 'Operation' ? { kind: answer.body.spec.target.kind, name: result?.name ?? answer.body.spec.target.name } : { kind: answer.body?.kind, name: answer.body?.meta?.name };
  if (made.name === undefined || ['subject', 'busybox', 'default', 'node1'].includes(made.name)) return;
  if (made.kind === 'Instance') await api.request('DELETE', `${INSTANCES}/${made.name}?force=1&waitMs=60000`);
  if (made.kind === 'Volume' || made.kind === 'Network') await api.request('DELETE', `${PROJECT}/${made.kind.toLowerCase()}s/${made.name}?waitMs=60000`);
  if (made.kind === 'Project') await api.request('DELETE', `/v1/projects/${made.name}?waitMs=60000`);
}

const shownText = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

let turn = 0;

async function everyText(route: Route, where: string, send: (text: string, url: string) => Promise<ApiAnswer>): Promise<void> {
  for (const text of hostileTexts(turn++)) {
    const answer = await send(text, await urlOf(route));
    assertAnswer(answer, `${route.verb} ${where} = ${shownText(text)}`);
    if (answer.status < 300) await tidy(answer);
  }
}

/** A patch takes any member; what it may hold is what a create may. */
function bodyPlaces(route: Route) {
  if (route.body === undefined) return [];
  if (route.method !== 'PATCH') return textPlaces(route.body);
  const created = route.verb === 'project.update' ? createProjectBody : route.verb === 'volume.update' ? createVolumeBody : createInstanceBody;
  return [...textPlaces(route.body), ...textPlaces(created)];
}

const plain = ROUTES.filter((route) => route.stream !== 'upgrade');

describe('A17: texts in bodies', () => {
  for (const route of plain.filter(({ body }) => body !== undefined)) {
    it(route.verb, async () => {
      for (const place of bodyPlaces(route)) {
        await everyText(route, place.path, (text, url) => api.request(route.method, url.includes('waitMs') || !VERBS[route.verb].long ? url : `${url}?waitMs=60000`, place.put(text)));
      }
    });
  }

  it('the places are many, and a field that is new is among them', () => {
    const paths = plain.flatMap((route) => bodyPlaces(route).map(({ path }) => `${route.verb} ${path}`));
    assert.ok(paths.length > 100, `${paths.length}`);
    // A refusal for another reason says nothing about the text: HARMLESS in test/lib/text-places.ts has what is missing.
    const unreachable = plain.flatMap((route) => bodyPlaces(route).flatMap(({ path, isReachable }) => (isReachable ? [] : [`${route.verb} ${path}`])));
    assert.ok(unreachable.length < paths.length / 20, unreachable.join(', '));
    for (const known of ['instance.create spec.volumes.hostPath', 'instance.create spec.env (name)', 'instance.update spec.tmpfs.target', 'image.bootstrap include', 'network.create spec.ipv4', 'instance.rename name']) assert.ok(paths.includes(known), known);
    const grown = textPlaces(z.strictObject({ spec: z.strictObject({ image: z.string(), added: z.array(z.strictObject({ text: z.string().regex(/^\/[a-z]+$/), either: z.union([z.number(), z.string()]) })).optional() }) }));
    assert.deepEqual(grown.map(({ path, isReachable }) => [path, isReachable]), [['spec.image', true], ['spec.added.text', true], ['spec.added.either', true]]);
    assert.deepEqual(grown[1]!.put('x'), { spec: { image: 'busybox', added: [{ text: 'x', either: 0 }] } });
  });
});

describe('A17: texts in queries', () => {
  for (const route of plain.filter(({ query }) => query !== undefined && Object.keys(query.shape).length > 0)) {
    it(route.verb, async () => {
      for (const name of Object.keys(route.query!.shape)) {
        if (name === 'watch' || name === 'follow') continue; // a flag: only its own two words are taken
        await everyText(route, `?${name}`, (text, url) => api.request(route.method, `${url}?${new URLSearchParams({ [name]: text.toWellFormed() }).toString().slice(0, 8000)}`, route.body === undefined ? undefined : {}, route.stream === 'upload' ? { 'content-type': 'application/octet-stream' } : {}));
      }
    });
  }
});

/** As a client would write them, and as one who wants to be read twice. */
const inPath = (text: string): string[] => [encodeURIComponent(text.toWellFormed()).slice(0, 4000), encodeURIComponent(encodeURIComponent(text.toWellFormed())).slice(0, 4000)].filter((one) => one !== '' && one !== '-' && one !== '.' && one !== '..');

describe('A17: texts in paths', () => {
  for (const route of ROUTES) {
    for (const parameter of route.path.matchAll(/\{(\w+)\}/g)) {
      it(`${route.verb} ${parameter[0]}`, async () => {
        const url = route.path.replace(parameter[0], '\u0001').replace('{project}', 'default').replace('{name}', 'subject');
        // A text that is a name may be one of something.
        for (const text of hostileTexts(turn++, 3).filter((one) => !NAME_PATTERN.test(one))) {
          for (const written of inPath(text)) {
            const where = `${route.verb} ${parameter[0]} = ${written.slice(0, 60)}`;
            if (route.stream === 'upgrade') {
              const client = await api.stream(url.replace('\u0001', written));
              if (client.status === 101) {
                client.json(FRAME.request, route.verb === 'instance.run' ? { object: { spec: { image: 'busybox' } } } : route.verb === 'instance.exec' ? { command: ['true'] } : {});
                const { code } = await client.frame(FRAME.error) as { code: string };
                assert.ok(['invalid', 'notFound'].includes(code), `${where}: ${code}`);
              } else assert.ok([400, 404].includes(client.status), `${where}: ${client.head}`);
              client.socket.destroy();
              continue;
            }
            const answer = await api.request(route.method, url.replace('\u0001', written), route.body === undefined ? undefined : {}, route.stream === 'upload' ? { 'content-type': 'application/octet-stream' } : {});
            assertAnswer(answer, where);
            assert.ok(answer.status >= 400 || answer.body?.items?.length === 0, `${where}: ${answer.status} ${answer.text.slice(0, 200)}`);
          }
        }
      });
    }
  }
});

describe('A17: texts in headers', () => {
  for (const header of ['idempotency-key', 'if-match', 'content-type', 'accept', 'user-agent', 'x-request-id', 'x-forwarded-for', 'range', 'expect', 'te']) {
    it(header, async () => {
      for (const text of HOSTILE_TEXTS) {
        const value = Buffer.from(text.toWellFormed()).toString('latin1').replaceAll(/[^\t -~\x80-\xff]/g, '').slice(0, 4000);
        const answer = await api.request('PATCH', `${INSTANCES}/${await subjectOf(ROUTES.find(({ verb }) => verb === 'instance.get')!)}`, { meta: { owner: 'ops' } }, { [header]: value });
        if (header === 'expect' && answer.status === 417) continue; // Node's own answer
        assertAnswer(answer, `${header} = ${shownText(text)}`);
      }
    });
  }
});

describe('A17: texts in the first frame of a stream', () => {
  for (const [verb, schema] of [['instance.run', runRequest], ['instance.exec', execRequest], ['instance.attach', attachRequest]] as const) {
    it(verb, async () => {
      const route = ROUTES.find((one) => one.verb === verb)!;
      for (const place of textPlaces(schema)) {
        assert.ok(place.isReachable, place.path);
        for (const text of hostileTexts(turn++, 8).filter((_, at) => verb !== 'instance.run' || at % 4 === 2)) {
          const client = await api.stream((await urlOf(route)).replace('{name}', '-'));
          client.json(FRAME.request, place.put(text));
          const end = await Promise.race([client.frame(FRAME.error).catch(() => undefined), client.frame(FRAME.started).catch(() => undefined)]) as { code?: string; name?: string } | undefined;
          assert.ok(end !== undefined && (end.code === undefined || (ERROR_CODES.includes(end.code as never) && !['internal', 'exhausted', 'unavailable', 'timeout'].includes(end.code))), `${verb} ${place.path} = ${shownText(text)}: ${JSON.stringify(end)}`);
          client.socket.destroy();
          if (end.name !== undefined) await api.request('DELETE', `${INSTANCES}/${end.name}?force=1&waitMs=60000`);
        }
      }
    });
  }
});

describe('A17: after all of that', () => {
  it('every key of the store is a key', async () => {
    let after: string | undefined;
    let count = 0;
    for (;;) {
      const page = await api.world.store.range({ prefix: '', limit: 1000, ...(after === undefined ? {} : { after }) });
      for (const { key } of page.values) {
        count++;
        assert.match(key, /^[ou]\/[\x21-\x7e]*$/);
        assert.doesNotMatch(key, /(^|\/)\.\.?(\/|$)|%2e|\\/i, key);
      }
      if (!page.more) break;
      after = page.values.at(-1)!.key;
    }
    assert.ok(count > 100);
  });

  it('nothing that the storage or the network was told can be a path, a line or an option', () => {
    assert.ok(calls.length > 200, `${calls.length} calls`);
    const harmful = calls.flatMap(({ on, method, args }) => textsOf(args).filter(({ at, text }) => !at.endsWith('specCopy') && HARMFUL.test(text)).map(({ at, text }) => `${on}.${method} ${at} = ${shownText(text)}`));
    assert.deepEqual([...new Set(harmful)], []);
  });

  it('the same look finds what is harmful', () => {
    for (const text of ['../x', 'a/../b', '-x', 'a\nb', 'a\0', '\x1b[2J', '\ud800']) assert.match(text, HARMFUL);
    for (const text of ['web', '10.90.1.2', '/fake/pool/volumes/abc', 'fd00::1', 'a-b', 'default.berth']) assert.doesNotMatch(text, HARMFUL);
    assert.deepEqual(textsOf([{ a: ['x'], b: new Map([['k', 'v']]) }]).map(({ text }) => text), ['x', 'k', 'v']);
  });

  it('nothing was a bug', () => {
    assert.deepEqual(api.world.log.filter((line) => line.level === 'error'), []);
    assert.equal(({} as { x?: unknown }).x, undefined);
    assert.deepEqual(Object.keys(Object.prototype), []);
  });
});

function textsOf(value: unknown, at = ''): { readonly at: string; readonly text: string }[] {
  if (typeof value === 'string') return [{ at, text: value }];
  if (value instanceof Map || value instanceof Set) return textsOf([...value], at);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof AbortSignal) return [];
  return Object.entries(value).flatMap(([name, inner]) => textsOf(inner, `${at}.${name}`));
}
