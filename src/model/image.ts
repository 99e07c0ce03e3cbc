/** Image: one manifest with its config and layers, the same for all forms. Tags are names that point at it. */
import * as z from 'zod';
import { everyForm, field } from './define.ts';
import type { BerthObject } from './meta.ts';
import { plainText } from './text.ts';

export const imageSpec = z.strictObject({
  references: field(z.array(plainText(512)).max(256), 'Names that point at this image.', { change: 'live', means: everyForm('Looked up by `image`.') }),
});
export type ImageSpec = z.infer<typeof imageSpec>;

/** `disk`: a bootable raw disk; `iso`: a CD, read-only. Both for VMs only. */
export const IMAGE_TYPES = ['oci', 'disk', 'iso'] as const;
export type ImageType = (typeof IMAGE_TYPES)[number];

/** What the image asks for; a layer of its own, never copied into an instance's spec. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly env: readonly string[];
  readonly workdir: string;
  readonly user: string;
  readonly stopSignal?: string | undefined;
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  /** Display only: never interpreted, never forwarded to a runtime. */
  readonly labels: Readonly<Record<string, string>>;
  readonly created?: string | undefined;
}

export interface ImageLayer {
  readonly digest: string;
  readonly diffId: string;
  readonly bytes: number;
  readonly mediaType: string;
}

export interface ImageStatus {
  /** Missing in those that were stored before there were others: {@link imageType}. */
  readonly type?: ImageType | undefined;
  readonly digest: string;
  readonly configDigest: string;
  readonly mediaType: string;
  readonly config: ImageConfig;
  readonly layers: readonly ImageLayer[];
  /** Bytes of all layers, unpacked; the size of a disk as a guest sees it. */
  readonly bytes: number;
  /** /etc/passwd and /etc/group of the image, for names in `user`; absent when the image has none. */
  readonly passwd?: string | undefined;
  readonly group?: string | undefined;
  /** Files with setuid or setgid, a sample for display. */
  readonly setuid: readonly string[];
}

export type Image = BerthObject<ImageSpec, ImageStatus, 'Image'>;

export function imageType({ status }: Image): ImageType {
  return status.type ?? 'oci';
}
