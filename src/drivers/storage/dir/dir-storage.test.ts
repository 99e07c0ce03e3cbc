import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ObjectId } from '../../../model/ids.ts';
import { storageContract, type StorageBench } from '../contract.ts';
import { dirStorage } from './dir-storage.ts';

storageContract('dir', async (): Promise<StorageBench> => {
  const base = await mkdtemp(path.join(os.tmpdir(), 'berth-storage-'));
  const rootDir = path.join(base, 'pool');
  const driver = dirStorage({ rootDir });
  const inside = (of: 'root' | 'volume', id: ObjectId, name: string): string => path.join(of === 'root' ? path.join(driver.rootPaths(id, 'appContainer').upperDir!, 'up') : driver.volumePath(id, 'filesystem'), name);
  return {
    driver,
    reopen: () => dirStorage({ rootDir }),
    write: (of, id, name, text) => writeFile(inside(of, id, name), text),
    read: (of, id, name) => readFile(inside(of, id, name), 'utf8').catch(() => undefined),
    async mentions(text) {
      const found: string[] = [];
      for (const name of await readdir(base, { recursive: true })) {
        const file = path.join(base, name);
        if (name.includes(text) || ((await stat(file)).isFile() && (await readFile(file, 'utf8')).includes(text))) found.push(name);
      }
      return found;
    },
    [Symbol.asyncDispose]: () => rm(base, { recursive: true, force: true }),
  };
});
