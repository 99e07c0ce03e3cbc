/** VMs of disk images over the API: a console without a size, and a picture of the screen. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeApi } from '../../test/lib/fake-api.ts';
import { ROOT } from '../../test/lib/fake-control.ts';
import { importDisk } from '../control/image/image.ts';
import { FRAME } from '../lib/frames.ts';

const INSTANCES = '/v1/projects/default/instances';

async function opened(): Promise<FakeApi> {
  const api = await FakeApi.open();
  const content = async function* (): AsyncGenerator<Uint8Array> { yield Buffer.alloc(1024); };
  await importDisk(api.world.services, ROOT, 'default', content(), { as: 'disk', format: 'raw' }, new AbortController().signal);
  return api;
}

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
