/** Makes layers and OCI layouts of any bytes, right and wrong ones, without any tool that would mend them. */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import zlib from 'node:zlib';
import { paxEntry, tarEnd, tarEntry, type TarHeader } from '../../src/lib/tar-header.ts';

export interface LayerEntry extends TarHeader {
  readonly content?: string | Uint8Array;
  readonly xattrs?: Readonly<Record<string, string | Uint8Array>>;
}

export const dir = (where: string, mode = 0o755): LayerEntry => ({ path: where, type: 'directory', mode });
export const file = (where: string, content: string | Uint8Array = '', mode = 0o644): LayerEntry => ({ path: where, content, mode });
export const symlink = (link: string, where: string): LayerEntry => ({ path: where, type: 'symlink', link });
export const hardlink = (link: string, where: string): LayerEntry => ({ path: where, type: 'hardlink', link });

/** Entries in the given order; bytes are put in as they are. */
export function layerTar(entries: readonly (LayerEntry | Uint8Array)[], { end = true }: { readonly end?: boolean } = {}): Buffer {
  return Buffer.concat([...entries.map((entry) => (entry instanceof Uint8Array ? entry : oneEntry(entry))), ...(end ? [tarEnd()] : [])]);
}

function oneEntry({ content, xattrs, ...header }: LayerEntry): Uint8Array {
  const bytes = content === undefined ? undefined : Buffer.from(content as string);
  const extended = xattrs === undefined ? [] : [paxEntry(Object.entries(xattrs).map(([name, value]) => [`SCHILY.xattr.${name}`, value] as const))];
  return Buffer.concat([...extended, tarEntry(header, bytes)]);
}

/** Version 2 of the kernel's capability attribute, effective. */
export function capabilityAttribute(permitted: number): Uint8Array {
  const value = Buffer.alloc(20);
  value.writeUInt32LE(0x02000001, 0);
  value.writeUInt32LE(permitted, 4);
  return value;
}

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export interface ImageParts {
  readonly layers: readonly Uint8Array[];
  readonly compression?: 'none' | 'gzip' | 'zstd';
  readonly config?: Readonly<Record<string, unknown>>;
  /** Instead of what the builder would write. */
  readonly configText?: string;
  readonly manifest?: Readonly<Record<string, unknown>>;
  readonly manifestText?: string;
  readonly index?: Readonly<Record<string, unknown>>;
  readonly name?: string;
}

export interface BuiltImage {
  /** Path within the layout → bytes. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly manifestDigest: string;
  readonly configDigest: string;
  readonly diffIds: readonly string[];
  readonly blobs: readonly string[];
}

const MEDIA_SUFFIX = { none: '', gzip: '+gzip', zstd: '+zstd' } as const;

export function buildImage(parts: ImageParts): BuiltImage {
  const compression = parts.compression ?? 'none';
  const files = new Map<string, Uint8Array>();
  const add = (bytes: Uint8Array): { digest: string; size: number } => {
    const digest = digestOf(bytes);
    files.set(`blobs/sha256/${digest.slice(7)}`, bytes);
    return { digest, size: bytes.length };
  };
  const diffIds = parts.layers.map((layer) => digestOf(layer));
  const layers = parts.layers.map((layer) => ({ mediaType: `application/vnd.oci.image.layer.v1.tar${MEDIA_SUFFIX[compression]}`, ...add(compress(layer, compression)) }));
  const config = add(Buffer.from(parts.configText ?? JSON.stringify({
    architecture: 'amd64', os: 'linux', config: { Cmd: ['/bin/sh'] }, rootfs: { type: 'layers', diff_ids: diffIds }, ...parts.config,
  })));
  const manifest = add(Buffer.from(parts.manifestText ?? JSON.stringify({
    schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config }, layers, ...parts.manifest,
  })));
  files.set('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  files.set('index.json', Buffer.from(JSON.stringify({
    schemaVersion: 2,
    manifests: [{
      mediaType: 'application/vnd.oci.image.manifest.v1+json', ...manifest, platform: { architecture: 'amd64', os: 'linux' },
      ...(parts.name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': parts.name } }),
    }],
    ...parts.index,
  })));
  return { files, manifestDigest: manifest.digest, configDigest: config.digest, diffIds, blobs: layers.map((layer) => layer.digest) };
}

export function compress(bytes: Uint8Array, compression: 'none' | 'gzip' | 'zstd'): Buffer {
  return compression === 'gzip' ? zlib.gzipSync(bytes) : compression === 'zstd' ? zlib.zstdCompressSync(bytes) : Buffer.from(bytes);
}

/** The layout as a tar archive, its files in the order of the map. */
export function ociArchive(image: BuiltImage): Buffer {
  return layerTar([...image.files].map(([where, content]) => ({ path: where, content })));
}

export async function writeLayout(image: BuiltImage, target: string): Promise<void> {
  for (const [where, content] of image.files) {
    await fs.mkdir(path.join(target, path.dirname(where)), { recursive: true });
    await fs.writeFile(path.join(target, where), content);
  }
}
