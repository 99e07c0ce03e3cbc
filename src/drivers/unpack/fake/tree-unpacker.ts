/**
 * An unpacker without a jail, for tests that have no root: the tree of a layer is one JSON file in its directory. It
 * knows the rules that its callers can meet, not all of those that the jailed one keeps.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { pipeline as pipelineOf, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import tar from 'tar-stream';
import { tarEnd, tarEntry } from '../../../lib/tar-header.ts';
import { BerthError } from '../../../model/errors.ts';
import { DEFAULT_LAYER_LIMITS, type Compression, type LayerReport, type LayerSource, type Unpacker } from '../driver.ts';

interface Node {
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'whiteout';
  readonly mode: number;
  readonly content?: string;
  readonly link?: string;
  readonly opaque?: boolean;
}

type Tree = Record<string, Node>;

const TREE_FILE = 'tree.json';

export function treeUnpacker(): Unpacker {
  return {
    async unpack(source, targetDir, limits = DEFAULT_LAYER_LIMITS, signal) {
      const tree: Tree = {};
      const report = { diffId: '', tarBytes: 0, fileBytes: 0, entries: 0, setuid: [] as string[], notes: [] as string[] } satisfies LayerReport;
      const hash = createHash('sha256');
      const extract = tar.extract();
      const bytes = (async function* () {
        for await (const chunk of decompressed(source)) {
          report.tarBytes += chunk.length;
          if (report.tarBytes > limits.maxBytes) throw new BerthError('exhausted', `The layer has more than ${limits.maxBytes} bytes.`);
          hash.update(chunk);
          yield chunk;
        }
      })();
      const fed = pipeline(Readable.from(bytes), extract, { signal }).catch((error: unknown) => {
        throw error instanceof BerthError ? error : signal?.aborted === true ? new BerthError('wrongState', 'The job unpack was cancelled.') : refusal('archive', String(error), '');
      });
      const read = (async () => {
        for await (const entry of extract) {
          if (++report.entries > limits.maxEntries) throw new BerthError('exhausted', `The layer has more than ${limits.maxEntries} entries.`);
          add(tree, entry.header, await text(entry as unknown as AsyncIterable<Uint8Array>), report);
        }
      })();
      const outcomes = await Promise.allSettled([fed, read.catch((error: unknown) => { extract.destroy(); throw error; })]);
      const failed = outcomes.map((one) => (one.status === 'rejected' ? one.reason as unknown : undefined)).filter((one) => one !== undefined);
      if (failed.length > 0) throw failed.find((one) => one instanceof BerthError && one.details?.['rule'] !== 'archive') ?? failed[0];
      // Content is kept once, however many names it has.
      const contents: string[] = [];
      const places = new Map<string, number>();
      const nodes = Object.entries(tree).map(([where, node]) => {
        if (node.content === undefined) return [where, node];
        const place = places.get(node.content) ?? contents.push(node.content) - 1;
        places.set(node.content, place);
        return [where, { ...node, content: place }];
      });
      await fs.writeFile(path.join(targetDir, TREE_FILE), JSON.stringify({ nodes, contents }));
      return { ...report, diffId: `sha256:${hash.digest('hex')}` };
    },

    async buildErofs(layers, targetFile) {
      if (layers.length === 0) throw new BerthError('invalid', 'An image has 1 to 128 layers, not 0.');
      const names = Object.keys(merge(await Promise.all(layers.map(treeOf)))).join('\n');
      await fs.writeFile(targetFile, `${names}\n`);
      return { bytes: names.length + 1 };
    },

    async buildExt4(layers, targetFile, sizeBytes) {
      if (layers.length === 0) throw new BerthError('invalid', 'An image has 1 to 128 layers, not 0.');
      await fs.writeFile(targetFile, '');
      await fs.truncate(targetFile, sizeBytes);
    },

    pack: async (dir, target) => write(await treeOf(dir), target),
    packMerged: async (layers, target) => write(merge(await Promise.all(layers.map(treeOf))), target),

    async inflate(source, target) {
      let count = 0;
      for await (const chunk of decompressed(source)) {
        count += chunk.length;
        await new Promise<void>((resolve, reject) => target.write(chunk, (error) => (error ? reject(error) : resolve())));
      }
      return { bytes: count };
    },

    async readFile(layers, where, maxBytes) {
      const tree = merge(await Promise.all(layers.map(treeOf)));
      const node = tree[resolved(tree, where) ?? ''];
      const content = node?.type === 'file' ? Buffer.from(node.content!, 'base64') : undefined;
      return content === undefined || content.length > maxBytes ? undefined : content;
    },

    async listDirectory(layers, where, maxNames) {
      const tree = merge(await Promise.all(layers.map(treeOf)));
      const dir = resolved(tree, where);
      if (dir === undefined || (dir !== '' && tree[dir]?.type !== 'directory')) return undefined;
      const names = Object.keys(tree).filter((name) => name !== '' && path.posix.dirname(name) === (dir === '' ? '.' : dir)).map((name) => path.posix.basename(name));
      if (names.length > maxNames) throw new BerthError('exhausted', `A directory of the image has more than ${maxNames} entries.`);
      return names;
    },
  };
}

/** Where a path leads, links followed; undefined when nowhere. */
function resolved(tree: Tree, where: string): string | undefined {
  const todo = where.split('/').reverse();
  const at: string[] = [];
  for (let links = 0; todo.length > 0; ) {
    const name = todo.pop()!;
    if (name === '' || name === '.') continue;
    if (name === '..') { at.pop(); continue; }
    const node = tree[[...at, name].join('/')];
    if (node?.type === 'symlink' && ++links <= 40) {
      if (node.link!.startsWith('/')) at.length = 0;
      todo.push(...node.link!.split('/').reverse());
    } else if (node?.type === 'directory') at.push(name);
    else return node?.type === 'file' && todo.length === 0 ? [...at, name].join('/') : undefined;
  }
  return at.join('/');
}

function refusal(rule: string, message: string, entry: string): BerthError {
  return new BerthError('invalid', message, { hint: 'Build the image again without this entry.', details: { rule, entry } });
}

function add(tree: Tree, header: tar.Header, content: string, report: { fileBytes: number; setuid: string[]; notes: string[] }): void {
  const where = cleaned(header.name, header.name);
  const mode = header.mode ?? 0o644;
  for (const key of Object.keys(header.pax ?? {})) if (key.startsWith('SCHILY.xattr.') && !key.startsWith('SCHILY.xattr.user.k')) report.notes.push(`${header.name}: attribute dropped`);
  if ((header.uid ?? 0) > 65_535 || (header.gid ?? 0) > 65_535) throw refusal('idRange', 'The entry belongs to an id above 65535.', header.name);
  const parts = where.split('/');
  for (let depth = 1; depth < parts.length; depth++) {
    const above = parts.slice(0, depth).join('/');
    if (tree[above]?.type === 'symlink') throw refusal('throughSymlink', 'The path leads through a symbolic link.', header.name);
    if (tree[above] === undefined || tree[above].type === 'whiteout') tree[above] = { type: 'directory', mode: 0o755, opaque: tree[above] !== undefined };
  }
  const name = parts.at(-1)!;
  if (name.startsWith('.wh.')) return whiteout(tree, parts.slice(0, -1).join('/'), name.slice(4), header.name);
  if (header.type === 'directory') {
    if (where !== '' && tree[where]?.type !== 'directory') tree[where] = { type: 'directory', mode };
    return;
  }
  if (header.type === 'character-device' || header.type === 'block-device') { report.notes.push(`${header.name}: device node not made`); return; }
  for (const below of Object.keys(tree)) if (below.startsWith(`${where}/`)) delete tree[below];
  if (header.type === 'symlink') tree[where] = { type: 'symlink', mode, link: header.linkname! };
  else if (header.type === 'fifo') tree[where] = { type: 'fifo', mode };
  else if (header.type === 'link') {
    const target = tree[cleaned(header.linkname!, header.name)];
    if (target === undefined || target.type === 'directory' || target.type === 'whiteout') throw refusal('hardlinkTarget', 'A hard link points to nothing.', header.name);
    tree[where] = target;
  } else {
    tree[where] = { type: 'file', mode, content };
    report.fileBytes += Buffer.from(content, 'base64').length;
    if ((mode & 0o6000) !== 0) report.setuid.push(header.name);
  }
}

function whiteout(tree: Tree, above: string, hidden: string, entry: string): void {
  if (hidden === '.wh..opq' && above !== '') { tree[above] = { ...tree[above]!, opaque: true }; return; }
  if (hidden === '' || hidden === '.' || hidden === '..' || hidden.startsWith('.wh.')) throw refusal('whiteoutName', 'A whiteout must name one thing.', entry);
  const where = above === '' ? hidden : `${above}/${hidden}`;
  tree[where] ??= { type: 'whiteout', mode: 0 };
}

function cleaned(text: string, entry: string): string {
  if (text.startsWith('/')) throw refusal('absolutePath', 'The path starts with a slash.', entry);
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refusal('parentReference', "The path has a '..' component.", entry);
  return parts.join('/');
}

async function text(entry: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry) chunks.push(chunk);
  return Buffer.concat(chunks).toString('base64');
}

async function* decompressed(source: LayerSource): AsyncIterable<Uint8Array> {
  const bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array> = 'file' in source ? [await fs.readFile(source.file)] : source.stream;
  // Not compose(): its reader waits for ever when the last bytes are missing.
  yield* source.compression === 'none' ? bytes : pipelineOf(Readable.from(bytes), decoder(source.compression), () => undefined);
}

function decoder(compression: Exclude<Compression, 'none'>) {
  return compression === 'gzip' ? zlib.createGunzip() : zlib.createZstdDecompress();
}

async function treeOf(dir: string): Promise<Tree> {
  const stored = await fs.readFile(path.join(dir, TREE_FILE), 'utf8').then((json) => JSON.parse(json) as { nodes: [string, Node & { content?: number }][]; contents: string[] }, () => undefined);
  return Object.fromEntries((stored?.nodes ?? []).map(([where, node]) => [where, node.content === undefined ? node : { ...node, content: stored!.contents[node.content]! }]));
}

function merge(trees: readonly Tree[]): Tree {
  const merged: Tree = {};
  for (const tree of trees) {
    for (const [where, node] of Object.entries(tree)) {
      if (node.type !== 'directory' || node.opaque === true || merged[where]?.type !== 'directory') {
        for (const below of Object.keys(merged)) if (below.startsWith(`${where}/`) && !(below in tree)) delete merged[below];
      }
      if (node.type === 'whiteout') delete merged[where];
      else merged[where] = { ...node, opaque: false };
    }
  }
  return merged;
}

async function write(tree: Tree, target: NodeJS.WritableStream): Promise<{ diffId: string; bytes: number }> {
  const entries = Object.entries(tree).toSorted(([a], [b]) => (a < b ? -1 : 1)).flatMap(([where, node]) => {
    const slash = where.lastIndexOf('/');
    if (node.type === 'whiteout') return [tarEntry({ path: `${where.slice(0, slash + 1)}.wh.${where.slice(slash + 1)}` })];
    const type = node.type === 'directory' || node.type === 'symlink' || node.type === 'fifo' ? node.type : 'file';
    return [
      tarEntry({ path: node.type === 'directory' ? `${where}/` : where, type, mode: node.mode, link: node.link ?? '' }, Buffer.from(node.content ?? '', 'base64')),
      ...(node.opaque === true ? [tarEntry({ path: `${where}/.wh..wh..opq` })] : []),
    ];
  });
  const bytes = Buffer.concat([...entries, tarEnd()]);
  await pipeline(Readable.from([bytes]), new Writable({ write: (chunk: Uint8Array, _encoding, done) => { target.write(chunk, () => done()); } }));
  return { diffId: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes: bytes.length };
}
