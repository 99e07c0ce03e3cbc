/** Damaged and random layers: whatever comes, the jail ends with a report or a refusal, never by a signal. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DEFAULT_LAYER_LIMITS } from '../../src/drivers/unpack/driver.ts';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { sealTarHeader } from '../../src/lib/tar-header.ts';
import { BerthError } from '../../src/model/errors.ts';
import { builtNativeProgram } from '../lib/native-build.ts';
import { attributeLayer } from '../lib/hostile-layers.ts';
import { compress, dir, file, hardlink, layerTar, symlink } from '../lib/image-builder.ts';
import { seededBelow } from '../lib/seeded-order.ts';

const ROUNDS = Number(process.env['BERTH_FUZZ_ROUNDS'] ?? 120);
const SEED = Number(process.env['BERTH_FUZZ_SEED'] ?? randomInt(2 ** 31));

const root = await fs.mkdtemp(path.join(os.tmpdir(), 'berth-fuzz-'));
before(() => builtNativeProgram());
after(() => removeTree(root));

const SAMPLES = [
  layerTar([dir('etc'), file('etc/passwd', 'root'), symlink('etc', 'l'), hardlink('etc/passwd', 'h'), { path: 'p', type: 'fifo' }, file('etc/.wh.gone'), dir('o'), file('o/.wh..wh..opq'), file('o/.wh.x'), file('.wh.y'), file('y/z', 'z'), file(`${'long/'.repeat(40)}name`, 'x'.repeat(3000)), file('l', 'x')]),
  attributeLayer(),
];

/** Flips bytes, most of them in headers, whose checksum is then made right, so that what lies behind it is reached. */
function damaged(bytes: Buffer, below: (limit: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  for (let count = 1 + below(4); count > 0; count--) {
    const block = below(copy.length / 512) * 512;
    const header = copy.subarray(block, block + 512);
    const kind = below(6);
    if (kind === 0) header[below(512)] = below(256);
    else if (kind === 1) header.write('01234567xgLKSAZ'[below(15)]!, 156, 'latin1');
    else if (kind === 2) header.write(['77777777777', '00000000000', '-0000000001', '\x80\0\0\0\0\0\0\x7f\xff\xff\xff'][below(4)]!, 124, 'latin1');
    else if (kind === 3) header.write(['../x', '/x', '.wh.', '.wh..wh..opq', 'etc', 'l/x', '', './', 'o/../x', 'h'][below(10)]!.padEnd(20, '\0'), 0, 'latin1');
    else if (kind === 4) header.write(['etc', 'h', '../..', '/etc/passwd', '.', ''][below(6)]!.padEnd(20, '\0'), 157, 'latin1');
    else copy.copyWithin(block, below(copy.length / 512) * 512);
    if (below(4) > 0) sealTarHeader(header);
  }
  return below(8) === 0 ? copy.subarray(0, below(copy.length)) : copy;
}

describe('random layers', () => {
  it(`end in a report or a refusal (BERTH_FUZZ_SEED=${SEED})`, async (t) => {
    const below = seededBelow(SEED);
    const unpacker = createNativeUnpacker();
    let unpacked = 0, refused = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const compression = (['none', 'none', 'gzip', 'zstd'] as const)[below(4)]!;
      let bytes = damaged(SAMPLES[below(SAMPLES.length)]!, below);
      if (compression !== 'none') {
        bytes = compress(bytes, compression);
        for (let count = below(3); count > 0; count--) bytes[below(bytes.length)] = below(256);
      }
      const target = await fs.mkdtemp(path.join(root, 'layer-'));
      const blob = `${target}.blob`;
      await fs.writeFile(blob, bytes);
      try {
        await unpacker.unpack({ file: blob, compression }, target, { ...DEFAULT_LAYER_LIMITS, maxBytes: 10_000_000, deadlineMs: 30_000 });
        unpacked++;
      } catch (error) {
        assert.ok(error instanceof BerthError && (error.code === 'invalid' || error.code === 'exhausted'), `round ${round}: ${String(error)}`);
        refused++;
      }
      await removeTree(target);
      await fs.rm(blob);
    }
    t.diagnostic(`${unpacked} unpacked, ${refused} refused`);
    assert.deepEqual(await fs.readdir(root), []);
  });
});
