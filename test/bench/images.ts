/**
 * Pull, import and push of a Debian image over loopback, in turns with the floors of the same work: skopeo downloads and
 * uploads alone, tar unpacks alone. And the daemon's memory while ten images come in at once. Prints a line of JSON for
 * each figure and a table at the end.
 *   node test/bench/images.ts [pull import push memory]     ROUNDS=5
 */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { formatBytes } from '../../src/lib/bytes.ts';
import { tarEntry } from '../../src/lib/tar-header.ts';
import { textTable } from '../../src/lib/text-table.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { debianArchive } from '../lib/debian-images.ts';
import { startDockerRegistry } from '../lib/docker-registry.ts';
import { buildImage } from '../lib/image-builder.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const IMAGES_AT_ONCE = 10;
const SAMPLE_MS = 50;
const HOST = '127.0.0.1:5000';
const EMPTY = '127.0.0.1:5001';
const HOME = path.resolve(import.meta.dirname, '../..');
const groups = new Set(process.argv.length > 2 ? process.argv.slice(2) : ['pull', 'import', 'push', 'memory']);
const rows: string[][] = [];

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

await using daemon = await TestDaemon.start();
await using _registry = await startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: 5000 });
const root = fs.readFileSync(await debianArchive('plain', []));
const scratch = path.join(daemon.base, 'scratch');
fs.mkdirSync(scratch);

/** The same root with one file more in front: another layer, as large. */
function variant(index: number): Buffer {
  return Buffer.concat([tarEntry({ path: `variant${index}` }, Buffer.from(`${index}`)), root]);
}

function publish(name: string, layer: Buffer): Buffer {
  const layout = path.join(scratch, 'layout');
  const image = buildImage({ layers: [layer], compression: 'gzip', name: 'x' });
  for (const [where, content] of image.files) {
    fs.mkdirSync(path.join(layout, path.dirname(where)), { recursive: true });
    fs.writeFileSync(path.join(layout, where), content);
  }
  inside('skopeo', 'copy', '--quiet', '--dest-tls-verify=false', `oci:${layout}:x`, `docker://${HOST}/${name}`);
  fs.rmSync(layout, { recursive: true });
  return Buffer.from(image.files.get(`blobs/sha256/${image.blobs[0]!.slice('sha256:'.length)}`)!);
}

function inside(...argv: readonly string[]): void {
  const [program, ...rest] = [...daemon.enter, ...argv];
  execFileSync(program!, rest, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function berth(...args: string[]): void {
  const result = spawnSync(path.join(HOME, 'berth'), args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', HOME: scratch, BERTH_HOST: `unix:${daemon.socketPath}` } });
  if (result.status !== 0) throw new Error(`berth ${args.join(' ')} ended with ${result.status}: ${result.stderr}`);
}

function clear(): void {
  berth('image', 'prune', '--all');
  for (const name of fs.readdirSync(scratch)) if (name.startsWith('out')) fs.rmSync(path.join(scratch, name), { recursive: true });
}

async function timed(work: () => void | Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

interface Contender {
  readonly name: string;
  readonly prepare?: () => void | Promise<void>;
  readonly work: () => void;
}

/** One after the other in each round, so that all meet the same machine. The first is Berth, the others what is compared. */
async function inTurns(what: string, contenders: readonly Contender[]): Promise<void> {
  const all = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, prepare, work } of contenders) {
      clear();
      await prepare?.();
      const took = await timed(work);
      if (round > 0) all.get(name)!.push(took); // the first warms up
    }
  }
  const own = median(all.get(contenders[0]!.name)!);
  for (const { name } of contenders) {
    const value = median(all.get(name)!);
    const ratio = own / value;
    console.log(JSON.stringify({ what, who: name, ms: Math.round(value), fastestMs: Math.round(Math.min(...all.get(name)!)), ...(value === own ? {} : { berthIsTimes: Number(ratio.toFixed(2)) }) }));
    rows.push([what, name, `${Math.round(value)} ms`, value === own ? '' : `${ratio.toFixed(2)} ×`]);
  }
}

const packed = publish('debian:plain', root);
const gzipFile = path.join(scratch, 'layer.tar.gz');
const tarFile = path.join(scratch, 'layer.tar');
fs.writeFileSync(gzipFile, packed);
fs.writeFileSync(tarFile, root);
console.log(JSON.stringify({ what: 'the image', unpackedBytes: root.length, gzipBytes: packed.length }));
const untar = (file: string): void => {
  fs.mkdirSync(path.join(scratch, 'out-tree'));
  execFileSync('tar', ['-xf', file, '-C', path.join(scratch, 'out-tree')], { stdio: 'ignore' });
};

if (groups.has('pull')) {
  await inTurns(`pull, ${formatBytes(root.length)} unpacked, ${formatBytes(packed.length)} gzip`, [
    { name: 'berth pull', work: () => berth('pull', '-q', `${HOST}/debian:plain`) },
    { name: 'skopeo, download alone', work: () => inside('skopeo', 'copy', '--quiet', '--src-tls-verify=false', `docker://${HOST}/debian:plain`, `dir:${scratch}/out-dir`) },
    { name: 'tar -xzf, unpack alone', work: () => untar(gzipFile) },
  ]);
}

if (groups.has('import')) {
  const archive = path.join(scratch, 'image.tar');
  berth('pull', '-q', `${HOST}/debian:plain`);
  berth('image', 'export', '--format', 'docker-archive', `${HOST}/debian:plain`, archive);
  await inTurns('import of a docker-archive', [
    { name: 'berth image import', work: () => berth('image', 'import', '--as', 'debian:imported', archive) },
    { name: 'skopeo to a directory', work: () => inside('skopeo', 'copy', '--quiet', `docker-archive:${archive}`, `dir:${scratch}/out-dir`) },
    { name: 'tar -xf, unpack alone', work: () => untar(tarFile) },
  ]);
  fs.rmSync(archive);
}

if (groups.has('push')) {
  // Into a registry that has nothing, each time.
  let empty: Awaited<ReturnType<typeof startDockerRegistry>> | undefined;
  const fresh = async (): Promise<void> => {
    await empty?.[Symbol.asyncDispose]();
    empty = await startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: 5001 });
  };
  const copied = path.join(daemon.base, 'copied');
  inside('skopeo', 'copy', '--quiet', '--src-tls-verify=false', `docker://${HOST}/debian:plain`, `dir:${copied}`);
  await inTurns('push', [
    { name: 'berth push', prepare: async () => { await fresh(); berth('pull', '-q', `${HOST}/debian:plain`); }, work: () => berth('push', '-q', `${HOST}/debian:plain`, `${EMPTY}/debian:pushed`) },
    { name: 'skopeo from a directory', prepare: fresh, work: () => inside('skopeo', 'copy', '--quiet', '--dest-tls-verify=false', `dir:${copied}`, `docker://${EMPTY}/debian:pushed`) },
  ]);
  await empty?.[Symbol.asyncDispose]();
}

if (groups.has('memory')) {
  for (let index = 0; index < IMAGES_AT_ONCE; index++) publish(`debian:v${index}`, variant(index));
  clear();
  await daemon.restart();
  const field = (file: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(fs.readFileSync(`/proc/${daemon.pid}/${file}`, 'latin1'))?.[1] ?? 0) / 1024;
  const before = field('smaps_rollup', 'Pss');
  let most = 0;
  const look = setInterval(() => { most = Math.max(most, field('smaps_rollup', 'Pss')); }, SAMPLE_MS);
  const took = await timed(async () => {
    await Promise.all(Array.from({ length: IMAGES_AT_ONCE }, (_, index) => daemon.ok('POST', '/v1/projects/default/images/-/pull?waitMs=600000', { reference: `${HOST}/debian:v${index}` })));
  });
  clearInterval(look);
  console.log(JSON.stringify({ what: `daemon, ${IMAGES_AT_ONCE} pulls at once`, ms: Math.round(took), idlePssMiB: Math.round(before), mostPssMiB: Math.round(most), peakRssMiB: Math.round(field('status', 'VmHWM')) }));
  rows.push([`daemon's memory, ${IMAGES_AT_ONCE} pulls at once`, 'PSS before, most; peak RSS', `${Math.round(before)}, ${Math.round(most)}; ${Math.round(field('status', 'VmHWM'))} MiB`, '']);
  rows.push([`${IMAGES_AT_ONCE} pulls at once`, 'all', `${Math.round(took)} ms`, '']);
  clear();
}

console.log(textTable([{ title: 'what' }, { title: 'who' }, { title: 'median', align: 'right' }, { title: 'Berth is', align: 'right' }], rows, { width: 140 }));
