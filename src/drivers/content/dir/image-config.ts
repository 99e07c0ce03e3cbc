/** The config of an image (OCI image specification 1.1 and Docker's), checked and bounded: what is known and wrong refuses the image. */
import * as z from 'zod';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { digestText, MAX_LAYERS, parseDocument, refuseDocument } from '../../../model/image-manifest.ts';
import type { ImageConfig } from '../../../model/image.ts';
import { matchesPlatform, platformText, type Platform } from '../../../model/platform.ts';
import { dataText, insidePath, plainText } from '../../../model/text.ts';
import type { Digest } from '../driver.ts';
import { signalName } from './signal-name.ts';

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
  variant: z.string().max(64).nullish(),
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
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digestText).max(MAX_LAYERS) }),
});

export interface CheckedConfig {
  readonly config: ImageConfig;
  readonly diffIds: readonly Digest[];
}

export function parseConfig(bytes: Uint8Array, layerCount: number, wanted: Platform = hostPlatform()): CheckedConfig {
  const { architecture, os, variant, created, config, rootfs } = parseDocument('config', bytes, configSchema);
  if (rootfs.diff_ids.length !== layerCount) throw refuseDocument('config', `it names ${rootfs.diff_ids.length} layers, the manifest ${layerCount}`);
  if (os !== 'linux' || wanted.os !== 'linux') throw new BerthError('unsupported', `The image is for ${printable(os)}.`, { hint: 'Only images for linux can be run.' });
  if (!matchesPlatform({ os, architecture, variant: variant ?? undefined }, wanted)) throw new BerthError('unsupported', `The image is for ${printable(architecture)}, not for ${platformText(wanted)}.`, { hint: 'Bring in the image for this architecture.' });
  const stopSignal = config?.StopSignal ?? '';
  const signal = stopSignal === '' ? undefined : signalName(stopSignal);
  if (stopSignal !== '' && signal === undefined) throw refuseDocument('config', `'${printable(stopSignal)}' is not a signal`);
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

export function hostPlatform(): Platform {
  return { os: 'linux', architecture: hostArchitecture() };
}
