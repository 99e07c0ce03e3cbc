/** What every storage driver must do, as node:test cases. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { describe, it } from 'node:test';
import { BerthError } from '../../model/errors.ts';
import { FORMS, isVmForm, type Form } from '../../model/forms.ts';
import type { ObjectId } from '../../model/ids.ts';
import type { StorageDriver } from './driver.ts';

/** A pool of its own for one case, and the means to look at it from outside of the driver. */
export interface StorageBench extends AsyncDisposable {
  readonly driver: StorageDriver;
  /** Another driver over the same pool: the next daemon. */
  reopen(): StorageDriver;
  /** Puts a file into a root (its upper) or a volume of type `filesystem`. */
  write(of: 'root' | 'volume', id: ObjectId, name: string, text: string): Promise<void>;
  /** undefined when there is none. */
  read(of: 'root' | 'volume', id: ObjectId, name: string): Promise<string | undefined>;
  /** Everything below the pool that has this text in its name or its content. */
  mentions(text: string): Promise<readonly string[]>;
}

const MIB = 1024 * 1024;
const A = 'aaaaaaaaaaaa' as ObjectId;
const B = 'bbbbbbbbbbbb' as ObjectId;

export function storageContract(name: string, openBench: () => Promise<StorageBench>): void {
  function check(title: string, body: (bench: StorageBench) => Promise<void>): void {
    it(title, async () => {
      await using bench = await openBench();
      await body(bench);
    });
  }

  describe(`storage contract: ${name}`, () => {
    for (const form of FORMS) {
      check(`a root for ${form}: made, found by another driver, removed`, async ({ driver, reopen }) => {
        const paths = await driver.createRoot({ id: A, form, specCopy: '{}', ...sizeOf(form) });
        assert.deepEqual(driver.rootPaths(A, form), paths, 'the paths are known without asking the disk');
        assert.deepEqual(reopen().rootPaths(A, form), paths);
        const vm = isVmForm(form);
        assert.equal(paths.upperDisk !== undefined, vm);
        assert.equal(paths.upperDir !== undefined, !vm);
        assert.deepEqual(await driver.leftovers(new Set([A])), []);
        await reopen().removeRoot(A);
        assert.deepEqual(await driver.leftovers(new Set()), []);
      });
    }

    check('the disk of a VM of a disk image is its own, found by another driver, and goes with its root', async ({ driver, reopen }) => {
      const paths = await driver.createRoot({ id: A, form: 'vm', disk: { sizeBytes: 4 * MIB }, specCopy: '{}' });
      assert.equal(paths.upperDisk, undefined);
      assert.deepEqual(driver.rootPaths(A, 'vm', 'disk'), paths);
      assert.deepEqual(await reopen().createRoot({ id: A, form: 'vm', disk: { sizeBytes: 4 * MIB }, specCopy: '{}' }), paths);
      assert.notEqual(paths.rootDisk, (await driver.createRoot({ id: B, form: 'vm', disk: { sizeBytes: 4 * MIB }, specCopy: '{}' })).rootDisk);
      await driver.removeRoot(A);
      await driver.removeRoot(B);
      assert.deepEqual(await driver.leftovers(new Set()), []);
    });

    check('a root that is whole is written once, found by another driver, and goes', async ({ driver, reopen }) => {
      const made: number[] = [];
      const request = { id: A, form: 'vm' as const, sizeBytes: 4 * MIB, specCopy: '{}', flat: async (file: string, sizeBytes: number) => { made.push(sizeBytes); if (!file.startsWith('/fake/')) await fs.writeFile(file, ''); } };
      const paths = await driver.createRoot(request);
      assert.notEqual(paths.upperDisk, driver.rootPaths(A, 'vm').upperDisk);
      assert.deepEqual(reopen().rootPaths(A, 'vm', 'flat'), paths);
      assert.deepEqual(await reopen().createRoot(request), paths);
      assert.deepEqual(made, [4 * MIB]);
      await driver.removeRoot(A);
      assert.deepEqual(await driver.leftovers(new Set()), []);
    });

    check('making a root again keeps what was written to it', async (bench) => {
      const request = { id: A, form: 'appContainer', specCopy: '{}' } as const;
      await bench.driver.createRoot(request);
      await bench.write('root', A, 'data', 'kept');
      await bench.reopen().createRoot(request);
      assert.equal(await bench.read('root', A, 'data'), 'kept');
    });

    check('a removed root begins anew', async (bench) => {
      await bench.driver.createRoot({ id: A, form: 'appContainer', specCopy: '{}' });
      await bench.write('root', A, 'data', 'secret of the one before');
      await bench.driver.removeRoot(A);
      await bench.driver.createRoot({ id: A, form: 'appContainer', specCopy: '{}' });
      assert.equal(await bench.read('root', A, 'data'), undefined);
      assert.deepEqual(await bench.mentions('secret of the one before'), []);
    });

    check('what is removed twice, or was never there, is removed', async ({ driver }) => {
      await driver.removeRoot(A);
      await driver.removeVolume(A);
      await driver.createRoot({ id: A, form: 'appContainer', specCopy: '{}' });
      await driver.removeRoot(A);
      await driver.removeRoot(A);
      assert.deepEqual(await driver.leftovers(new Set()), []);
    });

    check('roots and volumes do not touch each other, whatever their ids', async (bench) => {
      const { driver } = bench;
      await driver.createRoot({ id: A, form: 'appContainer', specCopy: '{}' });
      await driver.createRoot({ id: B, form: 'appContainer', specCopy: '{}' });
      await driver.createVolume({ id: A, type: 'filesystem', specCopy: '{}' });
      await bench.write('root', A, 'data', 'root a');
      await bench.write('root', B, 'data', 'root b');
      await bench.write('volume', A, 'data', 'volume a');
      await driver.removeRoot(A);
      assert.deepEqual([await bench.read('root', B, 'data'), await bench.read('volume', A, 'data')], ['root b', 'volume a']);
    });

    check('making a volume again keeps its data; it is gone when it is removed', async (bench) => {
      const request = { id: A, type: 'filesystem', specCopy: '{}' } as const;
      await bench.driver.createVolume(request);
      await bench.write('volume', A, 'data', 'kept');
      await bench.reopen().createVolume(request);
      assert.equal(await bench.read('volume', A, 'data'), 'kept');
      await bench.driver.removeVolume(A);
      assert.equal(await bench.read('volume', A, 'data'), undefined);
      assert.deepEqual(await bench.driver.leftovers(new Set()), []);
    });

    check('a block volume is one file with a path of its own', async ({ driver }) => {
      await driver.createVolume({ id: A, type: 'block', sizeBytes: 64 * MIB, specCopy: '{}' });
      assert.notEqual(driver.volumePath(A, 'block'), driver.volumePath(A, 'filesystem'));
      assert.notEqual(driver.volumePath(A, 'block'), driver.volumePath(B, 'block'));
      await driver.removeVolume(A);
      assert.deepEqual(await driver.leftovers(new Set()), []);
    });

    check('a block volume grows and never shrinks; a directory without quotas does neither', async ({ driver, mentions }) => {
      const grow = (sizeMib: number, specCopy = '{}') => driver.growVolume({ id: A, type: 'block', sizeBytes: sizeMib * MIB, specCopy });
      await driver.createVolume({ id: A, type: 'block', sizeBytes: 16 * MIB, specCopy: '{}' });
      await grow(32, '{"copy":"of-the-grown"}');
      await grow(32, '{"copy":"of-the-grown"}');
      assert.equal((await mentions('of-the-grown')).length, 1);
      await assert.rejects(grow(31), { code: 'invalid' });
      await driver.createVolume({ id: B, type: 'filesystem', specCopy: '{}' });
      if (!(await driver.facts()).quota) await assert.rejects(driver.growVolume({ id: B, type: 'filesystem', sizeBytes: 64 * MIB, specCopy: '{}' }), { code: 'unsupported' });
    });

    check('a copy of the object lies beside the disk, and goes with it', async ({ driver, mentions }) => {
      await driver.createRoot({ id: A, form: 'appContainer', specCopy: '{"copy":"of-the-root"}' });
      await driver.createVolume({ id: B, type: 'filesystem', specCopy: '{"copy":"of-the-volume"}' });
      assert.equal((await mentions('of-the-root')).length, 1);
      assert.equal((await mentions('of-the-volume')).length, 1);
      await driver.removeRoot(A);
      await driver.removeVolume(B);
      assert.deepEqual([...(await mentions('of-the-root')), ...(await mentions('of-the-volume'))], []);
    });

    check('leftovers are what belongs to none of the ids', async ({ driver }) => {
      await driver.createRoot({ id: A, form: 'appContainer', specCopy: '{}' });
      await driver.createVolume({ id: B, type: 'filesystem', specCopy: '{}' });
      const found = async (...known: ObjectId[]) => (await driver.leftovers(new Set(known))).length;
      assert.deepEqual([await found(A, B), await found(A), await found(B), await found()], [0, 1, 1, 2]);
    });

    check('a size that the pool cannot enforce is refused, and nothing is left of it', async ({ driver }) => {
      const facts = await driver.facts();
      assert.ok(facts.totalBytes > 0 && facts.freeBytes > 0 && facts.freeBytes <= facts.totalBytes);
      if (facts.quota) return;
      const refused = (error: unknown) => error instanceof BerthError && error.code === 'unsupported' && error.fields.length === 1;
      await assert.rejects(driver.createRoot({ id: A, form: 'appContainer', sizeBytes: 64 * MIB, specCopy: '{}' }), refused);
      await assert.rejects(driver.createVolume({ id: A, type: 'filesystem', sizeBytes: 64 * MIB, specCopy: '{}' }), refused);
      assert.deepEqual(await driver.leftovers(new Set()), []);
    });

    check('usage counts what a root holds', async (bench) => {
      await bench.driver.createRoot({ id: A, form: 'appContainer', specCopy: '{}' });
      const before = await bench.driver.rootUsage(A);
      await bench.write('root', A, 'data', 'x'.repeat(100_000));
      assert.ok(await bench.driver.rootUsage(A) >= before + 100_000);
    });
  });
}

/** Small disks where disks have a size: making them is not what is tested. */
function sizeOf(form: Form): { readonly sizeBytes?: number } {
  return isVmForm(form) ? { sizeBytes: 64 * MIB } : {};
}
