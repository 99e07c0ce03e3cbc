import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { unpackerContract } from '../contract.ts';
import { treeUnpacker } from './tree-unpacker.ts';

const root = await fs.mkdtemp(path.join(os.tmpdir(), 'berth-fake-unpack-'));
after(() => fs.rm(root, { recursive: true, force: true }));

unpackerContract({
  name: 'tree in a file',
  unpacker: treeUnpacker(),
  newDirectory: () => fs.mkdtemp(path.join(root, 'layer-')),
  newFilePath: async () => path.join(await fs.mkdtemp(path.join(root, 'image-')), 'root.erofs'),
});
