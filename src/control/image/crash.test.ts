/** An image is there when its operation says so, and only then: whatever fails or dies on the way. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callsOf, sweepCrashes, type SweepCase } from '../../../test/lib/crash-sweep.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { BerthError } from '../../model/errors.ts';
import type { Image } from '../../model/image.ts';
import type { Operation } from '../../model/operation.ts';
import { findImage, tryFindImage } from './find.ts';
import { bootstrapImage, deleteImage, importDisk, importImage, tagImage } from './image.ts';
import { pruneImages } from './prune.ts';
import { pullImage } from './pull.ts';
import { pushImage } from './push.ts';

const APP = 'registry.example:5000/team/app:1';
const MADE = 'localhost/made:latest';

async function bring({ services }: FakeWorld, content: string): Promise<void> {
  const archive = async function* (): AsyncGenerator<Uint8Array> { yield Buffer.from(JSON.stringify({ images: [{ names: ['made:here'], files: { '/app': content } }] })); };
  await importImage(services, ROOT, 'default', archive(), undefined, new AbortController().signal);
}

/** The registry has it, this host does not. */
async function publish(world: FakeWorld, content = 'first'): Promise<void> {
  await bring(world, content);
  await ended(pushImage(world.services, ROOT, 'default', { reference: 'made:here', destination: APP }));
  await deleteImage(world.services, ROOT, 'default', 'made:here', false);
}

async function* diskBytes(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(1024, 7);
}

interface Arrival {
  readonly verb: 'image.pull' | 'image.bootstrap';
  readonly step: string;
  readonly reference: string;
  readonly prepare: (world: FakeWorld) => Promise<void>;
  readonly begin: (world: FakeWorld) => ReturnType<typeof pullImage>;
}

const ARRIVALS: readonly Arrival[] = [
  { verb: 'image.pull', step: 'fetch', reference: APP, prepare: publish, begin: ({ services }) => pullImage(services, ROOT, 'default', { reference: APP }) },
  { verb: 'image.bootstrap', step: 'content', reference: MADE, prepare: async () => undefined, begin: ({ services }) => bootstrapImage(services, ROOT, 'default', { name: 'busybox', include: [], config: { env: ['MADE=1'] } as never }, MADE) },
];

const references = (world: FakeWorld): readonly string[] => world.services.registry.list<Image>('Image', 'default').flatMap((image) => image.spec.references).toSorted();
const hasSucceeded = (world: FakeWorld, reference: string): boolean => world.services.registry.list<Operation>('Operation', 'default').some((operation) => operation.spec.target.name === reference && operation.spec.verb !== 'image.push' && operation.status.state === 'succeeded');

for (const { verb, step, reference, prepare, begin } of ARRIVALS) {
  describe(`${verb}: an image is there when the operation says so`, () => {
    for (const moment of ['before', 'after'] as const) {
      it(`a failure ${moment} its step leaves every name where it was, and the next attempt brings it`, async () => {
        let fails = false;
        await using world = await FakeWorld.open({ stepHook: (at, name, when) => { if (fails && `${at}/${name}/${when}` === `${verb}/${step}/${moment}`) throw new BerthError('exhausted', 'It was made to fail by a test.'); } });
        await prepare(world);
        const before = references(world);
        fails = true;
        const operation = await (await begin(world)).done;
        assert.deepEqual([operation.status.state, operation.status.error?.code], ['failed', 'exhausted']);
        assert.deepEqual(references(world), before);
        assert.equal(tryFindImage(world.services, 'default', reference), undefined);
        fails = false;
        await pruneImages(world.services, ROOT, 'default', false);
        await ended(begin(world));
        await world.run('web', { image: reference });
      });
    }

    it('killed at every call', async () => {
      const one: SweepCase = {
        name: verb, prepare, run: (world) => ended(begin(world)),
        expect(world, died) { assert.equal(tryFindImage(world.services, 'default', reference) !== undefined, hasSucceeded(world, reference), died); },
        retry: (world) => ended(begin(world)),
      };
      assert.ok((await callsOf(one)).length > 0 && await sweepCrashes(one) > 0);
    });
  });
}

/** Not an operation: who brings it waits for the answer. */
describe('image.import of a disk: it is there when the answer says so, whole or not at all', () => {
  const DISK = 'localhost/disk:latest';
  const bring = (world: FakeWorld) => importDisk(world.services, ROOT, 'default', diskBytes(), { as: 'disk', format: 'raw' }, new AbortController().signal);

  it('killed at every call', async () => {
    const one: SweepCase = {
      name: 'image.import', run: bring,
      async expect(world, died) {
        const image = tryFindImage(world.services, 'default', DISK);
        // Without a name it is content of nobody, and the start of the daemon took it.
        assert.equal(world.content.disks.size, image === undefined ? 0 : 1, died);
      },
      retry: bring,
    };
    assert.ok((await callsOf(one)).length > 0 && await sweepCrashes(one) > 0);
  });

  it('a VM of it, killed at every call', async () => {
    const spec = { image: 'disk', isolation: 'vm' };
    const one: SweepCase = {
      name: 'instance.create', prepare: async (world) => { await bring(world); }, run: (world) => world.run('web', spec),
      retry: async (world) => { if (world.find('web') === undefined) await world.run('web', spec); },
    };
    assert.ok((await callsOf(one)).length > 0 && await sweepCrashes(one) > 0);
  });
});

describe('image.pull of a tag that moved', () => {
  it('a failure after its step leaves the tag at the image before', async () => {
    let fails = false;
    await using world = await FakeWorld.open({ stepHook: (verb, _step, moment) => { if (fails && verb === 'image.pull' && moment === 'after') throw new BerthError('exhausted', 'It was made to fail by a test.'); } });
    await publish(world);
    const pull = async () => (await pullImage(world.services, ROOT, 'default', { reference: APP })).done;
    const first = (await pull()).status.result?.['digest'];
    await publish(world, 'second');
    fails = true;
    assert.equal((await pull()).status.state, 'failed');
    assert.equal(findImage(world.services, 'default', APP).status.digest, first);
    fails = false;
    assert.notEqual((await pull()).status.result?.['digest'], first);
  });

  it('names that are given while it comes are kept', async () => {
    await using world = await FakeWorld.open();
    await publish(world);
    const pulls = Array.from({ length: 5 }, () => ended(pullImage(world.services, ROOT, 'default', { reference: APP })));
    await Promise.all([...pulls, ...[1, 2, 3].map((index) => tagImage(world.services, ROOT, 'default', 'busybox', `other:${index}`))]);
    assert.deepEqual((await Promise.all(pulls)).filter((one) => one.status.result?.['changed'] === true).length, 1);
    assert.deepEqual(references(world).filter((one) => /other|app/.test(one)), ['localhost/other:1', 'localhost/other:2', 'localhost/other:3', APP]);
  });
});
