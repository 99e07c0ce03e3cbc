/** D16: names of an archive that are links, or lead out. They are looked up in a map; none is ever a place on the host. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { tarEnd, tarEntry, type TarHeader } from '../../../lib/tar-header.ts';
import { BerthError } from '../../../model/errors.ts';
import { treeUnpacker } from '../../unpack/fake/tree-unpacker.ts';
import { layoutOf } from '../contract.ts';
import { openDirContent } from './dir-content.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-links-'));
after(() => fs.rmSync(root, { recursive: true }));
const canary = path.join(root, 'canary');
const directory = path.join(root, 'directory');
fs.writeFileSync(canary, 'sing');
fs.mkdirSync(directory);

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

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

describe('D16: an archive in which', () => {
  for (const [what, header] of KINDS) {
    for (const isFirst of [true, false]) {
      it(`each name is ${what}, ${isFirst ? 'before' : 'after'} the true ones`, async () => {
        const place = fs.mkdtempSync(path.join(root, 'store-'));
        await using store = await openDirContent({ rootDir: path.join(place, 'images'), layersDir: path.join(place, 'l'), unpacker: treeUnpacker() });
        for (const name of isFirst ? NAMES : FORMAT_NAMES) {
          const before = fs.statSync(canary);
          const lie = [tarEntry(header(name)), tarEntry({ path: `${name}/x` }, Buffer.from('x'))];
          const honest = [...layoutOf({ layers: [LAYER] })].map(([file, content]) => tarEntry({ path: file }, Buffer.from(content)));
          const archive = Buffer.concat([...(isFirst ? [...lie, ...honest] : [...honest, ...lie]), tarEnd()]);
          const outcome = await store.importArchive(once(archive), {}).then(() => 'taken', (error: unknown) => error);
          // Where the name means nothing it may be left out; never may it be followed.
          assert.ok(outcome === 'taken' || outcome instanceof BerthError, `${name}: ${String(outcome)}`);
          const now = fs.statSync(canary);
          assert.deepEqual([fs.readFileSync(canary, 'utf8'), now.mtimeMs, now.nlink, now.ino], ['sing', before.mtimeMs, before.nlink, before.ino], name);
          assert.deepEqual(fs.readdirSync(directory), [], name);
          assert.deepEqual(fs.readdirSync(path.join(place, 'images')).sort(), ['blobs', 'bootstrap', 'erofs', 'ingest', 'partial'], name);
          const strangers = fs.readdirSync(path.join(place, 'images', 'blobs', 'sha256')).filter((one) => !fs.lstatSync(path.join(place, 'images', 'blobs', 'sha256', one)).isFile());
          assert.deepEqual(strangers, [], name);
        }
      });
    }
  }

  it('the index is a link to a file of the host: it is no index', async () => {
    const place = fs.mkdtempSync(path.join(root, 'store-'));
    await using store = await openDirContent({ rootDir: path.join(place, 'images'), layersDir: path.join(place, 'l'), unpacker: treeUnpacker() });
    fs.writeFileSync(path.join(root, 'index.json'), Buffer.from(layoutOf({ layers: [LAYER] }).get('index.json')!));
    const blobs = [...layoutOf({ layers: [LAYER] })].filter(([name]) => name !== 'index.json').map(([name, content]) => tarEntry({ path: name }, Buffer.from(content)));
    const archive = Buffer.concat([...blobs, tarEntry({ path: 'index.json', type: 'symlink', link: path.join(root, 'index.json') }), tarEnd()]);
    await assert.rejects(store.importArchive(once(archive), {}), { code: 'invalid' });
  });
});
