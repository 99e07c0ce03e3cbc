/** An unpacker that reads no archive: layers are what a test says they are. */
import type { Unpacker } from '../driver.ts';

export interface FakeLayers {
  /** Text of a file as the layer at this path has it. */
  (layerPath: string, file: string): string | undefined;
}

const NOTHING = `sha256:${'0'.repeat(64)}`;

export function fakeUnpacker(layers: FakeLayers): Unpacker {
  return {
    unpack: () => Promise.resolve({ diffId: NOTHING, tarBytes: 0, fileBytes: 0, entries: 0, setuid: [], notes: [] }),
    buildErofs: () => Promise.resolve({ bytes: 4096 }),
    buildExt4: () => Promise.resolve(),
    pack: () => Promise.resolve({ diffId: NOTHING, bytes: 0 }),
    packMerged: () => Promise.resolve({ diffId: NOTHING, bytes: 0 }),
    inflate: () => Promise.resolve({ bytes: 0 }),
    listDirectory: () => Promise.resolve(undefined),
    readFile(paths, file, maxBytes) {
      const text = paths.map((path) => layers(path, file)).findLast((one) => one !== undefined);
      const bytes = text === undefined ? undefined : new TextEncoder().encode(text);
      return Promise.resolve(bytes === undefined || bytes.length > maxBytes ? undefined : bytes);
    },
  };
}
