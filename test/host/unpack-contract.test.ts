import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { unpackerContract } from '../../src/drivers/unpack/contract.ts';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { builtNativeProgram } from '../lib/native-build.ts';

const root = await fs.mkdtemp(path.join(os.tmpdir(), 'berth-unpack-'));
before(() => builtNativeProgram());
after(() => removeTree(root));

unpackerContract({
  name: 'native',
  unpacker: createNativeUnpacker(),
  newDirectory: () => fs.mkdtemp(path.join(root, 'layer-')),
  newFilePath: async () => path.join(await fs.mkdtemp(path.join(root, 'image-')), 'root.erofs'),
});
