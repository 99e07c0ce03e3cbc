/** B03: values of secret fields are shown to who asks for the one object, and to nobody else. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import { until } from '../../test/lib/until.ts';
import { fieldRows } from '../model/define.ts';
import { KINDS, type KindRule } from '../model/kinds.ts';
import { ROUTES } from '../model/routes.ts';
import { HIDDEN, withoutSecrets } from './hidden-fields.ts';

const INSTANCES = '/v1/projects/default/instances';
const SECRET = 'hush-4711';

describe('secret fields', () => {
  let api: FakeApi;
  before(async () => {
    api = await FakeApi.open();
    await api.create('web', { env: { TOKEN: SECRET, MODE: SECRET } });
    await api.create('plain');
  });
  after(() => api[Symbol.asyncDispose]());

  it('are there when one asks for the object by its name, and in what an update answers', async () => {
    assert.deepEqual((await api.request('GET', `${INSTANCES}/web`)).body.spec.env, { TOKEN: SECRET, MODE: SECRET });
    assert.deepEqual((await api.request('PATCH', `${INSTANCES}/web`, { meta: { owner: 'ops' } })).body.spec.env, { TOKEN: SECRET, MODE: SECRET });
  });

  it('a list has their names', async () => {
    const { body, text } = await api.request('GET', INSTANCES);
    const web = body.items.find((one: { meta: { name: string } }) => one.meta.name === 'web');
    assert.deepEqual(web.spec.env, { TOKEN: HIDDEN, MODE: HIDDEN });
    assert.ok(!text.includes(SECRET));
    assert.ok(!Object.hasOwn(body.items.find((one: { meta: { name: string } }) => one.meta.name === 'plain').spec, 'env'));
    assert.equal((await api.request('GET', INSTANCES)).text, text, 'from the second time on, too');
  });

  it('a watch has their names, in its list and in every change', async () => {
    let text = '';
    const socket = api.connect();
    socket.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; });
    socket.write(`GET ${INSTANCES}?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await until(() => text.includes('"type":"list"'));
    await api.request('PATCH', `${INSTANCES}/web`, { spec: { env: { NEW: `${SECRET}-2` } } });
    await until(() => text.includes('"type":"put"') && text.includes('"NEW"'));
    assert.ok(!text.includes(SECRET), text);
    socket.destroy();
  });

  it('no list of any kind, no event, audit record or operation has them', async () => {
    const lists = ROUTES.filter(({ verb }) => verb.endsWith('.list'));
    assert.ok(lists.length >= 8);
    for (const { path, verb } of lists) {
      const { status, text } = await api.request('GET', path.replace('{project}', 'default'));
      assert.equal(status, 200, verb);
      assert.ok(!text.includes(SECRET), verb);
    }
    assert.ok(!JSON.stringify(api.world.log).includes(SECRET), 'in the log');
  });

  it('what a list shows cannot be written back by mistake', async () => {
    const { body } = await api.request('GET', INSTANCES);
    const { spec } = body.items.find((one: { meta: { name: string } }) => one.meta.name === 'web') as { spec: Record<string, unknown> };
    for (const answer of [await api.request('PATCH', `${INSTANCES}/web`, { spec: { env: spec['env'] } }), await api.request('POST', INSTANCES, { meta: { name: 'copy' }, spec: { image: 'busybox', env: spec['env'] } })]) {
      assert.deepEqual([answer.status, answer.body.fields[0].path], [400, 'spec.env.TOKEN'], answer.text);
      assert.ok(!answer.text.includes(SECRET));
    }
    assert.equal((await api.request('GET', `${INSTANCES}/web`)).body.spec.env.TOKEN, SECRET);
  });

  it('are found by their trait, in every kind', () => {
    const secret = Object.values(KINDS).flatMap(({ kind, spec }: KindRule) => (spec === undefined ? [] : fieldRows(spec).filter(({ traits }) => traits.secret === true).map(({ path }) => `${kind}.${path}`)));
    assert.ok(secret.includes('Instance.env'));
    for (const name of secret) {
      const [kind, ...path] = name.split('.') as [string, ...string[]];
      const spec = path.reduceRight<unknown>((inner, part) => ({ [part]: inner }), SECRET);
      const object = { kind, apiVersion: 'berth/v1', meta: { name: 'x' }, spec, status: {} };
      assert.ok(!JSON.stringify(withoutSecrets(object as never)).includes(SECRET), name);
      assert.ok(JSON.stringify(object).includes(SECRET), 'the object itself is as it was');
    }
  });
});
