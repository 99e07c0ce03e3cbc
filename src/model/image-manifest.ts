/**
 * Index and manifest of an image (OCI image specification 1.1 and Docker's schema 2), checked and bounded. What is not
 * known is dropped; what is known and wrong refuses the image.
 */
import * as z from 'zod';
import { JsonError, parseJsonStrict } from '../lib/json-strict.ts';
import { BerthError } from './errors.ts';
import { printable } from './ids.ts';
import { DIGEST_PATTERN } from './reference.ts';

export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
export const MAX_LAYERS = 128;
/** How many indexes may lie within each other. */
export const MAX_NESTED_INDEXES = 2;

export const MANIFEST_TYPES: readonly string[] = ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'];
export const INDEX_TYPES: readonly string[] = ['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'];
const CONFIG_TYPES = ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'];

export type LayerCompression = 'none' | 'gzip' | 'zstd';

const LAYER_TYPES: Readonly<Record<string, LayerCompression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
};

export const digestText = z.string().regex(DIGEST_PATTERN, 'not sha256: and 64 lower-case hex digits');
const size = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const annotations = z.record(z.string().max(1024), z.string().max(64 * 1024)).nullish();

const descriptor = z.object({ mediaType: z.string().max(255), digest: digestText, size, urls: z.array(z.unknown()).nullish(), annotations, platform: z.object({ architecture: z.string().max(64).optional(), os: z.string().max(64).optional(), variant: z.string().max(64).optional() }).nullish() });
export type Descriptor = z.infer<typeof descriptor>;

const indexSchema = z.object({ schemaVersion: z.literal(2), mediaType: z.string().max(255).optional(), manifests: z.array(descriptor).max(1000), layers: z.never().optional(), config: z.never().optional() });
const manifestSchema = z.object({ schemaVersion: z.literal(2), mediaType: z.string().max(255).optional(), config: descriptor, layers: z.array(descriptor).max(MAX_LAYERS), manifests: z.never().optional() });

/** `what`: index, manifest, config. */
export function refuseDocument(what: string, why: string): BerthError {
  return new BerthError('invalid', `The image's ${what} was refused: ${why}.`, { hint: 'Nothing of it was kept. The tool that built the image has to write it differently.' });
}

export function parseDocument<T>(what: string, bytes: Uint8Array, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = parseJsonStrict(bytes, { maxBytes: MAX_DOCUMENT_BYTES, maxDepth: 32, maxKeys: 50_000 });
  } catch (error) {
    if (error instanceof JsonError) throw refuseDocument(what, error.message.replace(/\.$/, ''));
    throw error;
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw refuseDocument(what, `${issue.path.length === 0 ? '' : `${printable(issue.path.join('.'))}: `}${printable(issue.message)}`);
}

function checkOwnType(what: string, own: string | undefined, expected: string | undefined): void {
  if (own !== undefined && expected !== undefined && own !== expected) throw refuseDocument(what, `it says that it is ${printable(own)}, and what points at it says ${printable(expected)}`);
}

export function isIndexType(mediaType: string): boolean {
  return INDEX_TYPES.includes(mediaType);
}

export function isManifestType(mediaType: string): boolean {
  return MANIFEST_TYPES.includes(mediaType);
}

/** `mediaType` is what the descriptor or the transport said. */
export function parseIndex(bytes: Uint8Array, mediaType?: string): readonly Descriptor[] {
  const index = parseDocument('index', bytes, indexSchema);
  checkOwnType('index', index.mediaType, mediaType);
  if (index.mediaType !== undefined && !isIndexType(index.mediaType)) throw refuseDocument('index', `its type ${printable(index.mediaType)} is not that of an index`);
  return index.manifests;
}

export interface CheckedManifest {
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly (Descriptor & { readonly compression: LayerCompression })[];
}

export function parseManifest(bytes: Uint8Array, mediaType?: string): CheckedManifest {
  const manifest = parseDocument('manifest', bytes, manifestSchema);
  checkOwnType('manifest', manifest.mediaType, mediaType);
  const own = manifest.mediaType ?? mediaType ?? MANIFEST_TYPES[0]!;
  if (!isManifestType(own)) throw refuseDocument('manifest', `its type ${printable(own)} is not that of an image`);
  if (!CONFIG_TYPES.includes(manifest.config.mediaType)) throw new BerthError('unsupported', `The manifest is not that of an image: its config is ${printable(manifest.config.mediaType)}.`, { hint: 'Artifacts such as charts and signatures cannot be run.' });
  const layers = manifest.layers.map((layer) => {
    const compression = Object.hasOwn(LAYER_TYPES, layer.mediaType) ? LAYER_TYPES[layer.mediaType] : undefined;
    if (compression === undefined) throw new BerthError('unsupported', `The image has a layer of type ${printable(layer.mediaType)}.`, { hint: 'Layers are tar, tar+gzip or tar+zstd. Foreign and encrypted layers are not fetched.' });
    if ((layer.urls?.length ?? 0) > 0) throw refuseDocument('manifest', 'a layer is to be fetched from another place');
    return { ...layer, compression };
  });
  return { mediaType: own, config: manifest.config, layers };
}
