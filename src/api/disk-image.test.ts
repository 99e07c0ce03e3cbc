/** VMs of disk images over the API: a console without a size, and a picture of the screen. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import { ROOT } from '../../test/lib/fake-control.ts';
import { importDisk } from '../control/image/image.ts';
import { until } from '../../test/lib/until.ts';
import { FRAME } from '../lib/frames.ts';
import type { AuditRecord } from '../model/audit-record.ts';
import type { Image } from '../model/image.ts';

const INSTANCES = '/v1/projects/default/instances';

async function opened(): Promise<FakeApi> {
  const api = await FakeApi.open();
  const content = async function* (): AsyncGenerator<Uint8Array> { yield Buffer.alloc(1024); };
  await importDisk(api.world.services, ROOT, 'default', content(), { as: 'disk', format: 'raw' }, new AbortController().signal);
  return api;
}

const IMPORT = '/v1/projects/default/images/-/import';

describe('a disk that is brought in', () => {
  it('whose sender goes away on the way is no bug, and leaves nothing', async () => {
    await using api = await FakeApi.open();
    for (const [count, query] of ['as=gone&disk=raw', 'as=gone'].entries()) {
      const socket = api.connect();
      socket.write(`POST ${IMPORT}?${query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\nthe beginning`);
      const outcome = async () => ((await api.request('GET', '/v1/projects/default/audit')).body.items as AuditRecord[]).filter((one) => one.spec.verb === 'image.import').map((one) => one.status).at(count);
      await until(async () => (await outcome())?.result === 'pending', { what: 'the beginning of the import' });
      socket.destroy();
      await until(async () => (await outcome())?.result === 'failed', { what: 'its end' });
      assert.equal((await outcome())!.errorCode, 'unavailable');
      assert.deepEqual(api.world.log.filter(({ level }) => level === 'error'), []);
    }
    assert.equal((await api.request('GET', '/v1/projects/default/images')).body.items.filter((image: Image) => image.spec.references.some((one) => one.includes('gone'))).length, 0);
  });

  it('is a disk or a CD: the same bytes are not both, and the one that is there is named', async () => {
    await using api = await FakeApi.open();
    const send = (query: string) => api.request('POST', `${IMPORT}?${query}`, 'x'.repeat(512), { 'content-type': 'application/octet-stream' });
    assert.equal((await send('as=one&disk=raw')).status, 200);
    const { status, body } = await send('as=two&disk=iso');
    assert.deepEqual([status, body.code], [409, 'alreadyExists']);
    assert.match(`${body.message} ${body.hint}`, /here as an image of type disk, '[^']*one:latest'.*Delete that one first/);
    assert.equal((await send('as=three&disk=raw')).status, 200, 'another name for the same');
    await api.request('DELETE', '/v1/projects/default/images/-/delete?reference=one&force=1');
    assert.equal((await send('as=two&disk=iso')).status, 200);
  });
});

describe('a VM of a disk image', () => {
  it('is attached to by somebody with a window, who may move it', async () => {
    await using api = await opened();
    await api.world.run('web', { image: 'disk', isolation: 'vm' });
    const client = await api.stream(`${INSTANCES}/web/attach`);
    client.json(FRAME.request, { stdin: true, size: { rows: 24, columns: 80 } });
    assert.equal((await client.frame(FRAME.started) as { terminal: boolean }).terminal, true);
    client.json(FRAME.resize, { rows: 25, columns: 81 });
    await api.request('POST', `${INSTANCES}/web/stop?waitMs=60000`, {});
    assert.equal((await client.frame(FRAME.exit) as { reason: string }).reason, 'poweroff');
    await client.end();
  });

  it('shows its screen while it runs; a container has none', async () => {
    await using api = await opened();
    await api.create('box', {});
    await api.world.run('web', { image: 'disk', isolation: 'vm' });
    const seen = await api.request('GET', `${INSTANCES}/web/screenshot`);
    assert.deepEqual([seen.status, seen.headers['content-type']], [200, 'image/png']);
    assert.match(seen.text, /PNG/);
    await api.request('POST', `${INSTANCES}/web/stop?waitMs=60000`, {});
    assert.deepEqual([(await api.request('GET', `${INSTANCES}/web/screenshot`)).body.code], ['wrongState']);
    assert.deepEqual([(await api.request('GET', `${INSTANCES}/box/screenshot`)).body.code], ['unsupported']);
  });
});
