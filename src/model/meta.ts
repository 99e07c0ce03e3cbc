/** What every object carries: identity (`meta`), the wish (`spec`), the observation (`status`). */
import * as z from 'zod';
import { labelName, nameText, plainText } from './text.ts';

export const API_VERSION = 'berth/v1';
/** Version of the stored form of every object; a newer one is refused at start. */
export const SCHEMA_VERSION = 1;

export const labels = z.record(labelName, plainText(1024, 'a label')).refine((all) => Object.keys(all).length <= 64, { message: 'at most 64 labels' });

export const metaInput = z.strictObject({
  name: nameText.optional().describe('Unique within the project and kind; becomes the host and DNS name.'),
  project: nameText.optional().describe('The project that the object belongs to.'),
  labels: labels.optional().describe('For selecting and grouping; shown, never interpreted.'),
  owner: plainText(128, 'an owner').optional().describe('Who answers for it.'),
  purpose: plainText(256, 'a purpose').optional().describe('What it is for.'),
});
export type MetaInput = z.infer<typeof metaInput>;

export interface Meta {
  /** Never reused. */
  readonly id: string;
  readonly name: string;
  /** Empty for kinds outside of projects (Node, Project, Pool). */
  readonly project: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly owner?: string | undefined;
  readonly purpose?: string | undefined;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  /** Moves with `spec` only. */
  readonly generation: number;
  /** The store's revision of the last write; filled in when read. */
  readonly revision: number;
}

export interface BerthObject<Spec = unknown, Status = unknown, Kind extends string = string> {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: Kind;
  readonly meta: Meta;
  readonly spec: Spec;
  readonly status: Status;
}
