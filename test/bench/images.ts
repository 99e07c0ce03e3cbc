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
import { buildImage, ociArchive } from '../lib/image-builder.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const IMAGES_AT_ONCE = 10;
const SAMPLE_MS = 50;
const HOST = '127.0.0.1:5000';
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

async function timed(work: () => void | Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

interface Contender {
  readonly name: string;
  /** Each round has content of its own, and nothing is deleted between: ext4 is slow for minutes after a large deletion. */
  work(round: number): void;
}

/** One after the other in each round, so that all meet the same machine. The first is Berth, the others what is compared. */
async function inTurns(what: string, contenders: readonly Contender[]): Promise<void> {
  const all = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const contender of contenders) {
      const took = await timed(() => contender.work(round));
      if (round > 0) all.get(contender.name)!.push(took); // the first warms up
    }
  }
  const own = median(all.get(contenders[0]!.name)!);
  for (const [index, { name }] of contenders.entries()) {
    const value = median(all.get(name)!);
    const ratio = own / value;
    console.log(JSON.stringify({ what, who: name, ms: Math.round(value), fastestMs: Math.round(Math.min(...all.get(name)!)), ...(index === 0 ? {} : { berthIsTimes: Number(ratio.toFixed(2)) }) }));
    rows.push([what, name, `${Math.round(value)} ms`, index === 0 ? '' : `${ratio.toFixed(2)} ×`]);
  }
}

function untar(file: string, into: string): void {
  fs.mkdirSync(path.join(scratch, into));
  execFileSync('tar', ['-xf', file, '-C', path.join(scratch, into)], { stdio: 'ignore' });
}

let gzipBytes = 0;
if (groups.has('pull') || groups.has('push')) {
  for (let round = 0; round <= ROUNDS; round++) {
    const packed = publish(`debian:v${round}`, variant(round));
    gzipBytes = packed.length;
    fs.writeFileSync(path.join(scratch, `v${round}.tar.gz`), packed);
  }
  console.log(JSON.stringify({ what: 'the image', unpackedBytes: root.length, gzipBytes }));
  await inTurns(`pull, ${formatBytes(root.length)} unpacked, ${formatBytes(gzipBytes)} gzip`, [
    { name: 'berth pull', work: (round) => berth('pull', '-q', `${HOST}/debian:v${round}`) },
    { name: 'skopeo, download alone', work: (round) => inside('skopeo', 'copy', '--quiet', '--src-tls-verify=false', `docker://${HOST}/debian:v${round}`, `dir:${scratch}/dir${round}`) },
    { name: 'tar -xzf, unpack alone', work: (round) => untar(path.join(scratch, `v${round}.tar.gz`), `tree${round}`) },
  ]);
}

if (groups.has('push')) {
  // Each to a registry that has nothing.
  await using _own = await startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: 5001 });
  await using _other = await startDockerRegistry({ enter: daemon.enter, below: daemon.base, port: 5002 });
  await inTurns('push', [
    { name: 'berth push', work: (round) => berth('push', '-q', `${HOST}/debian:v${round}`, `127.0.0.1:5001/pushed${round}:1`) },
    { name: 'skopeo from a directory', work: (round) => inside('skopeo', 'copy', '--quiet', '--dest-tls-verify=false', `dir:${scratch}/dir${round}`, `docker://127.0.0.1:5002/pushed${round}:1`) },
  ]);
}

if (groups.has('import')) {
  const own = (round: number): number => 100 + round;
  for (let round = 0; round <= ROUNDS; round++) {
    fs.writeFileSync(path.join(scratch, `import${round}.tar`), ociArchive(buildImage({ layers: [variant(own(round))], name: 'x' })));
    fs.writeFileSync(path.join(scratch, `layer${round}.tar`), variant(own(round)));
  }
  await inTurns('import of an uncompressed OCI archive', [
    { name: 'berth image import', work: (round) => berth('image', 'import', '--as', `debian:imported${round}`, path.join(scratch, `import${round}.tar`)) },
    { name: 'tar -xf, unpack alone', work: (round) => untar(path.join(scratch, `layer${round}.tar`), `imported${round}`) },
  ]);
}

if (groups.has('memory')) {
  for (let index = 0; index < IMAGES_AT_ONCE; index++) publish(`debian:m${index}`, variant(200 + index));
  await daemon.restart();
  const field = (file: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(fs.readFileSync(`/proc/${daemon.pid}/${file}`, 'latin1'))?.[1] ?? 0) / 1024;
  const before = field('smaps_rollup', 'Pss');
  let most = 0;
  const look = setInterval(() => { most = Math.max(most, field('smaps_rollup', 'Pss')); }, SAMPLE_MS);
  const took = await timed(async () => {
    await Promise.all(Array.from({ length: IMAGES_AT_ONCE }, (_, index) => daemon.ok('POST', '/v1/projects/default/images/-/pull?waitMs=600000', { reference: `${HOST}/debian:m${index}` })));
  });
  clearInterval(look);
  const peak = Math.round(field('status', 'VmHWM'));
  console.log(JSON.stringify({ what: `daemon, ${IMAGES_AT_ONCE} pulls at once`, ms: Math.round(took), idlePssMiB: Math.round(before), mostPssMiB: Math.round(most), peakRssMiB: peak }));
  rows.push([`${IMAGES_AT_ONCE} pulls at once`, 'berth', `${Math.round(took)} ms`, '']);
  rows.push([`daemon's memory meanwhile`, 'PSS idle, most; peak RSS', `${Math.round(before)}, ${Math.round(most)}; ${peak} MiB`, '']);
}

console.log(textTable([{ title: 'what' }, { title: 'who' }, { title: 'median', align: 'right' }, { title: 'Berth is', align: 'right' }], rows, { width: 140 }));
