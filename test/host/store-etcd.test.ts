/** The store contract on a real etcd, and what only etcd can do. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { storeContract } from '../../src/drivers/store/contract.ts';
import { etcdStore } from '../../src/drivers/store/etcd/store.ts';
import { BerthError } from '../../src/model/errors.ts';
import { startEtcd } from '../lib/etcd-server.ts';

const server = await startEtcd();
after(() => server[Symbol.asyncDispose]());

it('the first revision of a fresh etcd is 1', async () => {
  await using store = await etcdStore({ endpoints: [server.endpoint] }).open();
  assert.equal(await store.revision(), 0);
  assert.deepEqual(await store.range({ prefix: '' }), { values: [], revision: 0, more: false });
  assert.deepEqual(await store.txn([], [{ put: 'a', value: Buffer.from('1') }]), { succeeded: true, revision: 1 });
  assert.equal((await store.get('a'))!.createRevision, 1);
  assert.deepEqual((await store.range({ prefix: '', revision: 0 })).values, []);
});

storeContract(etcdStore({ endpoints: [server.endpoint], namespace: 'contract/' }));

it('two namespaces of one etcd do not see each other', async () => {
  await using left = await etcdStore({ endpoints: [server.endpoint], namespace: 'left/' }).open();
  await using right = await etcdStore({ endpoints: [server.endpoint], namespace: 'right/' }).open();
  await left.txn([], [{ put: 'k', value: Buffer.from('left') }]);
  await right.txn([], [{ put: 'k', value: Buffer.from('right') }]);
  await right.txn([], [{ deletePrefix: '' }]);
  assert.equal(Buffer.from((await left.get('k'))!.value).toString(), 'left');
  assert.deepEqual((await left.range({ prefix: '' })).values.map(({ key }) => key), ['k']);
});

it('an endpoint that nobody listens on is passed over; none at all is unavailable', async () => {
  const dead = 'http://127.0.0.1:1';
  await using store = await etcdStore({ endpoints: [dead, server.endpoint], namespace: 'rotate/' }).open();
  assert.equal((await store.txn([{ key: 'k', absent: true }], [{ put: 'k', value: Buffer.from('x') }])).succeeded, true);
  await assert.rejects(etcdStore({ endpoints: [dead] }).open(), (error) => error instanceof BerthError && error.code === 'unavailable');
});

it('a watch goes on where it broke off when etcd was killed and came back', async () => {
  await using store = await etcdStore({ endpoints: [server.endpoint], namespace: 'crash/' }).open();
  const start = await store.revision();
  const seen: number[] = [];
  const stop = new AbortController();
  const watching = (async () => {
    for await (const batch of store.watch('', start, stop.signal)) {
      seen.push(batch.revision - start);
      if (seen.length === 3) return;
    }
  })();
  await store.txn([], [{ put: 'a', value: Buffer.from('1') }]);
  await server.crashAndRestart();
  await store.txn([], [{ put: 'a', value: Buffer.from('2') }]);
  await store.txn([], [{ put: 'a', value: Buffer.from('3') }]);
  await watching;
  assert.deepEqual(seen, [1, 2, 3]);
});

it('over TLS: a client with a certificate is served, others are not, and a strange server is not believed', async () => {
  const file = (name: string): string => fileURLToPath(new URL(`../fixtures/etcd-tls/${name}`, import.meta.url));
  const ca = fs.readFileSync(file('ca.crt'));
  const tls = { ca, cert: fs.readFileSync(file('client.crt')), key: fs.readFileSync(file('client.key')) };
  const opens = (endpoint: string, options?: Parameters<typeof etcdStore>[0]['tls']): Promise<boolean> =>
    etcdStore({ endpoints: [endpoint], tls: options }).open().then(async (store) => {
      await store[Symbol.asyncDispose]();
      return true;
    }, () => false);
  await using secure = await startEtcd({ tls: { certFile: file('server.crt'), keyFile: file('server.key'), caFile: file('ca.crt'), ready: (endpoint) => opens(endpoint, tls) } });
  {
    await using store = await etcdStore({ endpoints: [secure.endpoint], tls }).open();
    await store.txn([], [{ put: 'a', value: Buffer.from('x') }]);
    for await (const batch of store.watch('', 0, AbortSignal.timeout(10_000))) {
      assert.equal(batch.revision, 1);
      break;
    }
  }
  assert.equal(await opens(secure.endpoint, { ca }), false);
  assert.equal(await opens(secure.endpoint), false);
});
