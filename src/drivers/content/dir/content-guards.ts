/** What is compared before content is believed. Each is a collaborator, so that a test can take one away and see its case go wrong. */
import { MAX_NESTED_INDEXES, parseIndex, parseManifest } from '../../../model/image-manifest.ts';
import type { Digest } from '../driver.ts';
import { parseConfig } from './image-config.ts';
import { checkQcow2, type Qcow2Check } from './qcow2-check.ts';

export interface ContentGuards {
  isDigest(actual: Digest, wanted: Digest): boolean;
  isDiffId(actual: Digest, wanted: Digest): boolean;
  /** Do so many bytes go with a size? `ended`: no more will come. */
  isSize(bytes: number, size: number, ended: boolean): boolean;
  readonly parseIndex: typeof parseIndex;
  readonly parseManifest: typeof parseManifest;
  readonly parseConfig: typeof parseConfig;
  readonly checkQcow2: Qcow2Check;
  readonly maxNestedIndexes: number;
  /** Do callers who want the same thing share one piece of work? */
  readonly shares: boolean;
}

export const CONTENT_GUARDS: ContentGuards = {
  isDigest: (actual, wanted) => actual === wanted,
  isDiffId: (actual, wanted) => actual === wanted,
  isSize: (bytes, size, ended) => (ended ? bytes === size : bytes <= size),
  parseIndex, parseManifest, parseConfig, checkQcow2,
  maxNestedIndexes: MAX_NESTED_INDEXES,
  shares: true,
};
