/** Directories of the host inside: the part of the runtime suite that mounts them. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { ObjectId } from '../../model/ids.ts';
import type { PlanChoices, RuntimeBench, RuntimeCapabilities } from './contract.ts';
import type { FilesContractParts } from './files-contract.ts';

export interface VolumesContractParts extends Pick<FilesContractParts, 'check' | 'ended' | 'rejects'> {
  readonly started: (bench: RuntimeBench, args: readonly string[], choices?: PlanChoices) => Promise<ObjectId>;
  readonly can: RuntimeCapabilities;
  readonly logOf: (bench: RuntimeBench, id: ObjectId) => Promise<string>;
}

const sh = (script: string): readonly string[] => ['sh', '-c', script];

export function volumesContract({ check, started, ended, rejects, logOf, can }: VolumesContractParts): void {
  check('what is written is seen outside with its ids unshifted, and the other way round', async (bench) => {
    const dir = bench.volumeDir();
    fs.writeFileSync(path.join(dir, 'from-host'), 'hello\n');
    fs.chownSync(path.join(dir, 'from-host'), 1000, 1000);
    const id = await started(bench, sh('stat -c "%u %g" /v/d/from-host; cat /v/d/from-host; echo inside > /v/d/from-inside; chown 33:34 /v/d/from-inside'), { mounts: [{ source: dir, target: '/v/d', readOnly: false }] });
    await ended(bench.driver, id);
    assert.equal(await logOf(bench, id), '1000 1000\nhello\n');
    assert.equal(fs.readFileSync(path.join(dir, 'from-inside'), 'utf8'), 'inside\n');
    const { uid, gid } = fs.statSync(path.join(dir, 'from-inside'));
    assert.deepEqual({ uid, gid }, { uid: 33, gid: 34 });
  }, can.volumes);

  check('a disk that a guest may have written is none for the kernel of the host', async (bench) => {
    await rejects(bench.driver.create(bench.plan(['true'], { volumeDisks: [{ name: 'd', file: '/dev/null', target: '/d', readOnly: true }] })), 'unsupported');
  }, can.volumes);

  check('a read-only one is not written', async (bench) => {
    const dir = bench.volumeDir();
    const id = await started(bench, sh('touch /v/x; exit $?'), { mounts: [{ source: dir, target: '/v', readOnly: true }] });
    assert.notEqual((await ended(bench.driver, id)).exitCode, 0);
    assert.deepEqual(fs.readdirSync(dir), []);
  }, can.volumes);
}
