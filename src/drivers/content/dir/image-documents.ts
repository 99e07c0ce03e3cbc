/**
 * The JSON documents of an image (OCI image specification 1.1 and Docker's schema 2), checked and bounded: index,
 * manifest, config. What is not known is dropped; what is known and wrong refuses the image.
 */
import * as z from 'zod';
import { JsonError, parseJsonStrict } from '../../../lib/json-strict.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import type { ImageConfig } from '../../../model/image.ts';
import { DIGEST_PATTERN } from '../../../model/reference.ts';
import { dataText, insidePath, plainText } from '../../../model/text.ts';
import type { Compression } from '../../unpack/driver.ts';
import type { Digest } from '../driver.ts';
import { signalName } from './signal-name.ts';

export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
export const MAX_LAYERS = 128;

const MANIFEST_TYPES = ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'];
const INDEX_TYPES = ['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'];
const CONFIG_TYPES = ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'];

const LAYER_TYPES: Readonly<Record<string, Compression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
};

const digest = z.string().regex(DIGEST_PATTERN, 'not sha256: and 64 lower-case hex digits');
const size = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const annotations = z.record(z.string().max(1024), z.string().max(64 * 1024)).nullish();

const descriptor = z.object({ mediaType: z.string().max(255), digest, size, urls: z.array(z.unknown()).nullish(), annotations, platform: z.object({ architecture: z.string().max(64).optional(), os: z.string().max(64).optional() }).nullish() });
export type Descriptor = z.infer<typeof descriptor>;

const indexSchema = z.object({ schemaVersion: z.literal(2), mediaType: z.string().max(255).optional(), manifests: z.array(descriptor).max(1000), layers: z.never().optional(), config: z.never().optional() });
const manifestSchema = z.object({ schemaVersion: z.literal(2), mediaType: z.string().max(255).optional(), config: descriptor, layers: z.array(descriptor).max(MAX_LAYERS), manifests: z.never().optional() });

/** Go writes an absent list or map as null. */
const list = (item: z.ZodString, max: number) => z.array(item).max(max).nullish().transform((value) => value ?? []);
const keys = (key: z.ZodType<string>, max: number) => z.record(z.string(), z.unknown()).nullish().transform((value, context) => {
  const names = Object.keys(value ?? {});
  if (names.length > max) context.addIssue({ code: 'custom', message: `more than ${max}` });
  for (const name of names) if (!key.safeParse(name).success) context.addIssue({ code: 'custom', message: `'${printable(name)}' is not allowed` });
  return names;
});

const MAX_TEXT = 128 * 1024;
const environment = dataText(MAX_TEXT).regex(/^[^=\u0000-\u001f\u007f]+=/, 'not NAME=VALUE');
const port = z.string().regex(/^[0-9]{1,5}(-[0-9]{1,5})?(\/(tcp|udp|sctp))?$/);

const configSchema = z.object({
  architecture: z.string().max(64),
  os: z.string().max(64),
  created: plainText(64).nullish(),
  config: z.object({
    User: plainText(256).nullish(),
    Env: list(environment, 1000),
    Entrypoint: list(dataText(MAX_TEXT), 1000),
    Cmd: list(dataText(MAX_TEXT), 1000),
    WorkingDir: z.union([z.literal(''), insidePath]).nullish(),
    Labels: z.record(dataText(1024), dataText(64 * 1024)).nullish().refine((value) => Object.keys(value ?? {}).length <= 1000, 'more than 1,000 labels'),
    ExposedPorts: keys(port, 1000),
    Volumes: keys(insidePath, 256),
    StopSignal: z.string().max(32).nullish(),
  }).nullish(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digest).max(MAX_LAYERS) }),
});

export interface CheckedConfig {
  readonly config: ImageConfig;
  readonly diffIds: readonly Digest[];
}

function refuse(what: string, why: string): BerthError {
  return new BerthError('invalid', `The image's ${what} was refused: ${why}.`, { hint: 'Nothing of it was kept. The tool that built the image has to write it differently.' });
}

function parse<T>(what: string, bytes: Uint8Array, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = parseJsonStrict(bytes, { maxBytes: MAX_DOCUMENT_BYTES, maxDepth: 32, maxKeys: 50_000 });
  } catch (error) {
    if (error instanceof JsonError) throw refuse(what, error.message.replace(/\.$/, ''));
    throw error;
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw refuse(what, `${issue.path.length === 0 ? '' : `${printable(issue.path.join('.'))}: `}${printable(issue.message)}`);
}

function checkOwnType(what: string, own: string | undefined, expected: string | undefined): void {
  if (own !== undefined && expected !== undefined && own !== expected) throw refuse(what, `it says that it is ${printable(own)}, and what points at it says ${printable(expected)}`);
}

export function isIndexType(mediaType: string): boolean {
  return INDEX_TYPES.includes(mediaType);
}

export function isManifestType(mediaType: string): boolean {
  return MANIFEST_TYPES.includes(mediaType);
}

/** `mediaType` is what the descriptor or the transport said. */
export function parseIndex(bytes: Uint8Array, mediaType?: string): readonly Descriptor[] {
  const index = parse('index', bytes, indexSchema);
  checkOwnType('index', index.mediaType, mediaType);
  if (index.mediaType !== undefined && !isIndexType(index.mediaType)) throw refuse('index', `its type ${printable(index.mediaType)} is not that of an index`);
  return index.manifests;
}

export interface CheckedManifest {
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly (Descriptor & { readonly compression: Compression })[];
}

export function parseManifest(bytes: Uint8Array, mediaType?: string): CheckedManifest {
  const manifest = parse('manifest', bytes, manifestSchema);
  checkOwnType('manifest', manifest.mediaType, mediaType);
  const own = manifest.mediaType ?? mediaType ?? MANIFEST_TYPES[0]!;
  if (!isManifestType(own)) throw refuse('manifest', `its type ${printable(own)} is not that of an image`);
  if (!CONFIG_TYPES.includes(manifest.config.mediaType)) throw new BerthError('unsupported', `The manifest is not that of an image: its config is ${printable(manifest.config.mediaType)}.`, { hint: 'Artifacts such as charts and signatures cannot be run.' });
  const layers = manifest.layers.map((layer) => {
    const compression = LAYER_TYPES[layer.mediaType];
    if (compression === undefined) throw new BerthError('unsupported', `The image has a layer of type ${printable(layer.mediaType)}.`, { hint: 'Layers are tar, tar+gzip or tar+zstd. Foreign and encrypted layers are not fetched.' });
    if ((layer.urls?.length ?? 0) > 0) throw refuse('manifest', 'a layer is to be fetched from another place');
    return { ...layer, compression };
  });
  return { mediaType: own, config: manifest.config, layers };
}

export function parseConfig(bytes: Uint8Array, layerCount: number): CheckedConfig {
  const { architecture, os, created, config, rootfs } = parse('config', bytes, configSchema);
  if (rootfs.diff_ids.length !== layerCount) throw refuse('config', `it names ${rootfs.diff_ids.length} layers, the manifest ${layerCount}`);
  if (os !== 'linux') throw new BerthError('unsupported', `The image is for ${printable(os)}.`, { hint: 'Only images for linux can be run.' });
  if (architecture !== hostArchitecture()) throw new BerthError('unsupported', `The image is for ${printable(architecture)}, this host is ${hostArchitecture()}.`, { hint: 'Bring in the image for this architecture.' });
  const stopSignal = config?.StopSignal ?? '';
  const signal = stopSignal === '' ? undefined : signalName(stopSignal);
  if (stopSignal !== '' && signal === undefined) throw refuse('config', `'${printable(stopSignal)}' is not a signal`);
  return {
    diffIds: rootfs.diff_ids,
    config: {
      architecture, os, entrypoint: config?.Entrypoint ?? [], command: config?.Cmd ?? [], env: config?.Env ?? [], workdir: config?.WorkingDir ?? '', user: config?.User ?? '',
      exposedPorts: config?.ExposedPorts ?? [], volumes: config?.Volumes ?? [], labels: config?.Labels ?? {},
      ...(signal === undefined ? {} : { stopSignal: signal }), ...(created === undefined || created === null ? {} : { created }),
    },
  };
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Go's name of this host's architecture, as images use it. */
export function hostArchitecture(): string {
  return ARCHITECTURES[process.arch] ?? process.arch;
}
