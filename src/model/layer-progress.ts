/** How far each layer of an image is while it is fetched or sent: what an operation carries and a terminal draws. */

/**
 * `waiting`: nothing came yet · `moving`: bytes come in or go out · `verifying`: all bytes are there, digest and disk are
 * waited for · `unpacking`: its tree is being made · `done` · `present`: it was there already, nothing was moved
 */
export type LayerState = 'waiting' | 'moving' | 'verifying' | 'unpacking' | 'done' | 'present';

export interface LayerProgress {
  readonly digest: string;
  readonly state: LayerState;
  /** Compressed bytes that are there, and all of them. */
  readonly bytes: number;
  readonly totalBytes: number;
}
