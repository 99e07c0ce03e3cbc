/**
 * Takes an archive of images apart as it arrives. Every file of it becomes a blob under its own digest, whatever the
 * archive calls it; names are only looked up in the map that comes out, never used as paths.
 */
import { readTar, TarError } from '../../../lib/tar-reader.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import type { BlobInfo, ContentLease, Digest } from '../driver.ts';
import type { BlobStore } from './blob-store.ts';
import { MAX_DOCUMENT_BYTES } from '../../../model/image-manifest.ts';

const MAX_ENTRIES = 20_000;
const MAX_ARCHIVE_BYTES = 256 * 1024 ** 3;
const MAX_LINKS = 40;
const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/;
const DOCUMENTS = new Set(['index.json', 'manifest.json', 'oci-layout']);

export interface ArchiveContents {
  readonly document: (name: string) => Uint8Array | undefined;
  /** The blob that a name leads to, links resolved. */
  readonly blob: (name: string) => BlobInfo | undefined;
  readonly ingested: ReadonlySet<Digest>;
}

export interface ReadOptions {
  readonly lease?: ContentLease | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** Told of every blob as it comes in, also when the rest fails. */
  readonly onBlob: (digest: Digest) => void;
}

export async function readArchive(source: AsyncIterable<Uint8Array>, blobs: BlobStore, { lease, signal, onBytes, onBlob }: ReadOptions): Promise<ArchiveContents> {
  const documents = new Map<string, Uint8Array>();
  const found = new Map<string, BlobInfo>();
  const links = new Map<string, string>();
  const ingested = new Set<Digest>();
  let bytes = 0;
  try {
    for await (const entry of readTar(counted(source), { maxEntries: MAX_ENTRIES })) {
      const name = cleanName(entry.path);
      if (entry.type === 'symlink' || entry.type === 'hardlink') links.set(name, linkTarget(name, entry.link, entry.type === 'hardlink'));
      if (entry.type !== 'file') continue;
      links.delete(name);
      if (DOCUMENTS.has(name)) {
        if (documents.has(name)) throw refuse(`it holds ${name} twice`);
        documents.set(name, await whole(entry.content, entry.sizeBytes, name));
        continue;
      }
      const hex = BLOB.exec(name)?.[1];
      if (hex === undefined && name.startsWith('blobs/')) throw refuse(`'${printable(name)}' is no place of a blob`);
      const info = await blobs.ingest(entry.content, { size: entry.sizeBytes, lease, signal, ...(hex === undefined ? {} : { digest: `sha256:${hex}` }) });
      onBlob(info.digest);
      ingested.add(info.digest);
      found.set(name, info);
    }
  } catch (error) {
    // The end of a broken archive may be met while a blob is stored: then it is the cause of what the store says.
    const broken = error instanceof BerthError ? error.cause : error;
    if (broken instanceof TarError) throw refuse(broken.message.replace(/\.$/, ''));
    throw error;
  }
  return {
    document: (name) => documents.get(name),
    blob(name) {
      let at = name;
      for (let steps = 0; steps < MAX_LINKS && links.has(at); steps++) at = links.get(at)!;
      return found.get(at);
    },
    ingested,
  };

  async function* counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      bytes += chunk.length;
      if (bytes > MAX_ARCHIVE_BYTES) throw new BerthError('exhausted', `The archive has more than ${MAX_ARCHIVE_BYTES} bytes.`);
      onBytes?.(bytes);
      yield chunk;
    }
  }
}

export function refuse(why: string): BerthError {
  return new BerthError('invalid', `The archive was refused: ${why}.`, { hint: 'It can be an OCI layout, a docker-archive, or the tar of one root file system.' });
}

function cleanName(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (path.startsWith('/') || parts.includes('..') || path.length > 1024) throw refuse(`'${printable(path)}' is not a name that it may hold`);
  return parts.join('/');
}

/** Docker writes a layer that occurs twice as a link to the first. Nothing on the disk is ever linked. */
function linkTarget(name: string, target: string, fromRoot: boolean): string {
  const parts = fromRoot || target.startsWith('/') ? [] : name.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

async function whole(content: AsyncIterable<Uint8Array>, sizeBytes: number, name: string): Promise<Uint8Array> {
  if (sizeBytes > MAX_DOCUMENT_BYTES) throw refuse(`its ${name} is larger than 4 MiB`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}
