/** instance.copyIn and instance.copyOut: states, audit, and places that are given back. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import { tarEnd, tarEntry } from '../../lib/tar-header.ts';
import { readTar } from '../../lib/tar-reader.ts';
import type { AuditRecord } from '../../model/audit-record.ts';
import { copyIn, copyOut } from './files.ts';
import { pauseInstance } from './lifecycle.ts';
import { startInstance } from './start.ts';

const MOST = 64;

async function* archive(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

const put = (world: FakeWorld, path: string, content: string) => copyIn(world.services, world.control.execLimit, ROOT, world.get('web'), { path, extract: false, archive: false }, archive(tarEntry({ path: 'f' }, Buffer.from(content)), tarEnd()));
const take = (world: FakeWorld, path: string) => copyOut(world.services, world.control.execLimit, ROOT, world.get('web'), { path, followLink: false });

describe('copies', () => {
  it('what went in comes out; the audit has paths and outcomes, and no content', async () => {
    await using world = await FakeWorld.open();
    await world.run('web');
    await put(world, '/tmp/secret', 'hush-4711');
    const names: string[] = [];
    for await (const entry of readTar(await take(world, '/tmp/secret'))) names.push(entry.path);
    assert.deepEqual(names, ['secret']);
    await assert.rejects(take(world, '/nope'), { code: 'notFound' });
    const records = (await world.services.registry.records<AuditRecord>('AuditRecord')).items.filter((one) => JSON.stringify(one).includes('instance.copy'));
    const text = JSON.stringify(records);
    assert.equal(records.length, 3);
    assert.ok(text.includes('/tmp/secret') && text.includes('/nope') && text.includes('notFound') && !text.includes('hush'), text);
  });

  it('of what runs, and is not paused', async () => {
    await using world = await FakeWorld.open();
    await world.create('web');
    await assert.rejects(take(world, '/tmp'), { code: 'wrongState', message: /cp needs it to be running/ });
    await startInstance(world.services, ROOT, world.get('web'));
    await settle();
    await put(world, '/tmp/x', '');
    await pauseInstance(world.services, ROOT, world.get('web'));
    await assert.rejects(put(world, '/tmp/x', ''), { code: 'wrongState' });
  });

  it('every way to end gives the place back', async () => {
    await using world = await FakeWorld.open();
    await world.run('web');
    await put(world, '/tmp/f', 'x'.repeat(100_000));
    for (let at = 0; at < MOST + 6; at++) {
      await assert.rejects(take(world, '/nope'), { code: 'notFound' });
      const unread = (await take(world, '/tmp/f'))[Symbol.asyncIterator]();
      if (at % 2 === 0) await unread.next();
      await unread.return!();
      await assert.rejects(copyIn(world.services, world.control.execLimit, ROOT, world.get('web'), { path: '/nope', extract: true, archive: false }, archive(tarEnd())), { code: 'notFound' });
    }
    const held = await Promise.all(Array.from({ length: MOST }, () => take(world, '/tmp/f')));
    await assert.rejects(take(world, '/tmp/f'), { code: 'exhausted' });
    for (const one of held) await one[Symbol.asyncIterator]().return!();
    await settle();
    await put(world, '/tmp/f', 'y');
  });
});
