/**
 * D16: names of an archive that are links, or lead out. They are looked up in a map; none is ever a place on the host, so
 * there is no check that could be taken away: instead the same archives are given to an importer that unpacks first and
 * reads then, as tools that were broken into do, and each must get out of that one.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { goesRed } from '../../../../test/lib/red.ts';
import { readTar } from '../../../lib/tar-reader.ts';
import { tarEnd, tarEntry, type TarHeader } from '../../../lib/tar-header.ts';
import { BerthError } from '../../../model/errors.ts';
import { parseIndex } from '../../../model/image-manifest.ts';
import { treeUnpacker } from '../../unpack/fake/tree-unpacker.ts';
import { layoutOf } from '../contract.ts';
import { openDirContent } from './dir-content.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-links-'));
after(() => fs.rmSync(root, { recursive: true }));
const canary = path.join(root, 'canary');
const directory = path.join(root, 'directory');

const LAYER = Buffer.concat([tarEntry({ path: 'a' }, Buffer.from('a')), tarEnd()]);
const FORMAT_NAMES = ['index.json', 'manifest.json', `blobs/sha256/${'a'.repeat(64)}`];
/** Those of other tools' images and backups, too. */
const NAMES = [...FORMAT_NAMES, 'oci-layout', 'blobs', 'rootfs', 'config.json', 'backup.yaml', 'templates'];
const KINDS: readonly (readonly [string, (name: string) => TarHeader])[] = [
  ['a symbolic link to a file of the host', (name) => ({ path: name, type: 'symlink', link: canary })],
  ['a symbolic link to a directory of the host', (name) => ({ path: name, type: 'symlink', link: directory })],
  ['a symbolic link that climbs', (name) => ({ path: name, type: 'symlink', link: `../../../../../../../..${canary}` })],
  ['a hard link to a file of the host', (name) => ({ path: name, type: 'hardlink', link: canary })],
  ['a directory', (name) => ({ path: name, type: 'directory' })],
];

/** A directory has nothing that leads out; a link to a file, behind the true ones, is written through by nobody. */
const getsOut = ({ what, isFirst }: Way): boolean => what !== 'a directory' && (isFirst || !/to a file|climbs/.test(what) || what.startsWith('a hard link'));

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

interface Taken {
  /** An error, or what it took for the index. */
  readonly outcome: unknown;
}

/** Brings an archive in below `place`. */
type Importer = (place: string, archive: Uint8Array) => Promise<Taken>;

const ours: Importer = async (place, archive) => {
  await using store = await openDirContent({ rootDir: path.join(place, 'images'), layersDir: path.join(place, 'l'), unpacker: treeUnpacker() });
  const outcome = await store.importArchive(once(archive), {}).then(() => 'taken', (error: unknown) => error);
  // Where the name means nothing it may be left out; never may it be followed.
  assert.ok(outcome === 'taken' || outcome instanceof BerthError, String(outcome));
  assert.deepEqual(fs.readdirSync(path.join(place, 'images')).sort(), ['blobs', 'bootstrap', 'disks', 'erofs', 'ingest', 'kernels', 'partial']);
  const blobs = path.join(place, 'images', 'blobs', 'sha256');
  assert.deepEqual(fs.readdirSync(blobs).filter((one) => !fs.lstatSync(path.join(blobs, one)).isFile()), []);
  return { outcome };
};

/** Names are places, and what a place leads to is followed. */
const unpacksFirst: Importer = async (place, archive) => {
  for await (const entry of readTar(once(archive), { maxEntries: 1000 })) {
    const chunks: Uint8Array[] = [];
    if (entry.type === 'file') for await (const chunk of entry.content) chunks.push(chunk);
    const target = path.join(place, entry.path);
    try {
      fs.mkdirSync(path.dirname(target), { recursive: true });
      if (entry.type === 'directory') fs.mkdirSync(target);
      else if (entry.type === 'file') fs.writeFileSync(target, Buffer.concat(chunks));
      else {
        fs.rmSync(target, { recursive: true, force: true });
        if (entry.type === 'symlink') fs.symlinkSync(entry.link, target);
        else fs.linkSync(entry.link, target);
      }
    } catch { /* as tar, which goes on with the next */ }
  }
  try {
    return { outcome: parseIndex(fs.readFileSync(path.join(place, 'index.json'))).length > 0 ? 'taken' : 'empty' };
  } catch (error) {
    return { outcome: error };
  }
};

interface Way {
  readonly what: string;
  readonly header: (name: string) => TarHeader;
  readonly isFirst: boolean;
}

async function eachName({ header, isFirst }: Way, importer: Importer): Promise<void> {
  for (const name of isFirst ? NAMES : FORMAT_NAMES) {
    const place = fs.mkdtempSync(path.join(root, 'store-'));
    const before = fs.statSync(canary);
    const lie = [tarEntry(header(name)), tarEntry({ path: `${name}/x` }, Buffer.from('x'))];
    const honest = [...layoutOf({ layers: [LAYER] })].map(([file, content]) => tarEntry({ path: file }, Buffer.from(content)));
    await importer(place, Buffer.concat([...(isFirst ? [...lie, ...honest] : [...honest, ...lie]), tarEnd()]));
    const now = fs.statSync(canary);
    assert.deepEqual([fs.readFileSync(canary, 'utf8'), now.mtimeMs, now.nlink, now.ino], ['sing', before.mtimeMs, before.nlink, before.ino], name);
    assert.deepEqual(fs.readdirSync(directory), [], name);
  }
}

async function linkedIndex(importer: Importer): Promise<void> {
  const place = fs.mkdtempSync(path.join(root, 'store-'));
  fs.writeFileSync(path.join(root, 'index.json'), Buffer.from(layoutOf({ layers: [LAYER] }).get('index.json')!));
  const blobs = [...layoutOf({ layers: [LAYER] })].filter(([name]) => name !== 'index.json').map(([name, content]) => tarEntry({ path: name }, Buffer.from(content)));
  const { outcome } = await importer(place, Buffer.concat([...blobs, tarEntry({ path: 'index.json', type: 'symlink', link: path.join(root, 'index.json') }), tarEnd()]));
  assert.ok(outcome instanceof BerthError && outcome.code === 'invalid', String(outcome));
}

describe('D16: an archive in which', () => {
  beforeEach(() => {
    fs.rmSync(canary, { force: true });
    fs.writeFileSync(canary, 'sing');
    fs.rmSync(directory, { recursive: true, force: true });
    fs.mkdirSync(directory);
  });

  for (const [what, header] of KINDS) {
    for (const isFirst of [true, false]) {
      const way: Way = { what, header, isFirst };
      const name = `each name is ${what}, ${isFirst ? 'before' : 'after'} the true ones`;
      it(name, () => eachName(way, ours));
      if (getsOut(way)) it(`${name}: gets out of an importer that unpacks first`, () => goesRed(() => eachName(way, unpacksFirst)));
    }
  }

  const index = 'the index is a link to a file of the host: it is no index';
  it(index, () => linkedIndex(ours));
  it(`${index}: an importer that unpacks first takes it`, () => goesRed(() => linkedIndex(unpacksFirst)));
});
