/** A guard is worth what fails without it: each case is tried on a server with all guards, and on one without that one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import type { Caller } from '../control/services.ts';
import { BerthError } from '../model/errors.ts';
import { EDGE_GUARDS, type EdgeGuards } from './guards.ts';

const INSTANCES = '/v1/projects/default/instances';

interface Case {
  readonly guard: keyof EdgeGuards;
  readonly what: string;
  readonly without: EdgeGuards[keyof EdgeGuards];
  /** True when the attack got through. */
  readonly attack: (api: FakeApi) => Promise<boolean>;
}

const create = (api: FakeApi, text: string, headers: Record<string, string> = {}) => api.request('POST', INSTANCES, text, headers);
const plainJson: EdgeGuards['strictBody'] = (body) => JSON.parse(Buffer.from(body).toString()) as unknown;
const trusting: EdgeGuards['input'] = (_schema, input) => input as never;

const CASES: readonly Case[] = [
  { guard: 'withoutSecrets', what: 'B03: a value of the environment in a list', without: <T>(object: T) => object, attack: async (api) => {
    await api.create('web', { env: { TOKEN: 'hush-4711' } });
    return (await api.request('GET', INSTANCES)).text.includes('hush-4711');
  } },
  { guard: 'strictBody', what: 'E05: a key twice, the last one counts', without: plainJson, attack: async (api) => (await create(api, '{"meta":{"name":"checked"},"meta":{"name":"used"},"spec":{"image":"busybox"}}')).status === 202 && api.world.find('used') !== undefined },
  { guard: 'strictBody', what: 'E13: __proto__ as a member', without: plainJson, attack: async (api) => (await create(api, '{"meta":{"name":"web"},"spec":{"image":"busybox","env":{"__proto__":"x"}}}')).status === 202 },
  { guard: 'strictBody', what: 'E07: nesting without end', without: plainJson, attack: async (api) => !/nested deeper/.test((await create(api, `{"spec":${'['.repeat(5000)}${']'.repeat(5000)}}`)).text) },
  { guard: 'input', what: 'E13: fields that nobody asked for', without: trusting, attack: async (api) => (await create(api, '{"meta":{"name":"web","id":"abcdefghijkl"},"spec":{"image":"busybox","privileged":true}}')).status === 202 },
  { guard: 'input', what: 'A17: a line feed in a host name', without: trusting, attack: async (api) => (await create(api, '{"meta":{"name":"web"},"spec":{"image":"busybox","hostname":"a\\nb"}}')).status === 202 },
  { guard: 'input', what: 'E06: a query that leads up and out', without: trusting, attack: async (api) => !/notFound|invalid/.test((await api.request('GET', '/v1/projects/default/instances?filter=name=a&limit=-1&x=..')).text) },
  { guard: 'input', what: 'E06: a label whose name is a path', without: trusting, attack: async (api) => (await create(api, '{"meta":{"name":"web","labels":{"../../x":"y"}},"spec":{"image":"busybox"}}')).status === 202 },
  { guard: 'caller', what: 'I04: an identity that is not the socket’s', without: () => ({ actor: 'uid:0', admin: true, hostPaths: true, requestId: 'x' }) satisfies Caller, attack: async (api) => {
    api.peer = { uid: 1234, gid: 1, pid: 1 };
    await create(api, '{"meta":{"name":"web"},"spec":{"image":"busybox"}}', { 'x-user': 'root' });
    const { body } = await api.request('GET', '/v1/projects/default/audit?filter=target=web');
    return body.items[0].spec.actor !== 'uid:1234';
  } },
  { guard: 'notCrossSite', what: 'E11: another Host', without: () => undefined, attack: async (api) => (await api.request('GET', INSTANCES, undefined, { host: 'evil.test' })).status === 200 },
  { guard: 'notCrossSite', what: 'E10: a web page’s Origin on a stream', without: () => undefined, attack: async (api) => (await api.stream(`${INSTANCES}/-/run`, { Origin: 'https://evil.test' })).status === 101 },
  { guard: 'caller', what: 'E01: nobody knows who asks', without: () => ({ actor: 'uid:0', admin: true, hostPaths: true, requestId: 'x' }) satisfies Caller, attack: async (api) => {
    api.peer = undefined;
    return (await api.request('GET', INSTANCES)).status === 200;
  } },
  { guard: 'caller', what: 'host paths for somebody else than root', without: () => ({ actor: 'uid:1000', admin: true, hostPaths: true, requestId: 'x' }) satisfies Caller, attack: async (api) => {
    api.peer = { uid: 1000, gid: 1000, pid: 1 };
    return (await create(api, '{"meta":{"name":"web"},"spec":{"image":"busybox","volumes":[{"hostPath":"/","target":"/host"}]}}')).status === 202;
  } },
];

describe('a guard', () => {
  it('of every kind is tried here', () => {
    const tried = new Set(CASES.map((one) => one.guard));
    assert.deepEqual(Object.keys(EDGE_GUARDS).filter((name) => !tried.has(name as keyof EdgeGuards)), ['permission'], 'permission has a case of its own below');
  });

  for (const { guard, what, without, attack } of CASES) {
    it(`${guard}: ${what}: refused with it, done without it`, async () => {
      await using guarded = await FakeApi.open();
      assert.equal(await attack(guarded), false);
      await using open = await FakeApi.open({ edge: { guards: { ...EDGE_GUARDS, [guard]: without } } });
      assert.equal(await attack(open), true);
    });
  }

  it('permission: an administrator’s verb by somebody who is none: refused with it, done without it', async () => {
    const reader = (): Caller => ({ actor: 'uid:1', admin: false, hostPaths: false, requestId: 'x' });
    const attempt = async (guards: EdgeGuards) => {
      await using api = await FakeApi.open({ edge: { guards } });
      return (await api.request('POST', '/v1/projects', { meta: { name: 'mine' }, spec: {} })).status;
    };
    assert.equal(await attempt({ ...EDGE_GUARDS, caller: reader }), 403);
    assert.equal(await attempt({ ...EDGE_GUARDS, caller: reader, permission: () => undefined }), 201);
  });

  it('who may only read reads, and changes nothing', async () => {
    await using api = await FakeApi.open({ edge: { guards: { ...EDGE_GUARDS, caller: () => ({ actor: 'uid:1', admin: false, hostPaths: false, requestId: 'x' }) } } });
    assert.equal((await api.request('GET', INSTANCES)).status, 200);
    assert.equal((await create(api, '{"meta":{"name":"web"},"spec":{"image":"busybox"}}')).status, 403);
    assert.equal((await api.stream(`${INSTANCES}/-/run`)).status, 403);
    assert.equal((await api.request('GET', '/v1/projects/default/audit')).status, 403);
    assert.equal((await api.request('GET', '/v1/debug/leaks')).status, 403);
  });

  it('what a guard throws is an answer', async () => {
    await using api = await FakeApi.open({ edge: { guards: { ...EDGE_GUARDS, permission: () => { throw new BerthError('busy', 'Later.'); } } } });
    assert.equal((await api.request('GET', INSTANCES)).status, 423);
  });

  it('a bug behind a guard is 500 with a request id, its cause in the log and not in the answer', async () => {
    await using api = await FakeApi.open({ edge: { guards: { ...EDGE_GUARDS, permission: () => { throw new TypeError('the secret inside'); } } } });
    const answer = await api.request('GET', INSTANCES);
    assert.deepEqual([answer.status, answer.body.code, answer.text.includes('secret')], [500, 'internal', false]);
    const line = api.world.log.find((one) => one.facts['requestId'] === answer.body.requestId)!;
    assert.match(String(line.facts['error']), /the secret inside/);
  });
});
