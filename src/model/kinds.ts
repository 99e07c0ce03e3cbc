/** The kinds, with where they live and how they are written in URLs, tables and on the command line. */
import * as z from 'zod';
import { imageSpec } from './image.ts';
import { instanceSpec } from './instance.ts';
import { networkSpec } from './network.ts';
import { poolSpec } from './pool.ts';
import { projectSpec } from './project.ts';
import { volumeSpec } from './volume.ts';
import { workloadSpec } from './workload.ts';

export interface KindRule {
  readonly kind: string;
  /** In URLs and on the command line. */
  readonly plural: string;
  readonly singular: string;
  /** Does the name live inside a project? */
  readonly scoped: boolean;
  /** What people may write; undefined for kinds that only Berth makes. */
  readonly spec: z.ZodObject | undefined;
  readonly summary: string;
}

const none = undefined;

export const KINDS = {
  Instance: { kind: 'Instance', plural: 'instances', singular: 'instance', scoped: true, spec: instanceSpec, summary: 'One running unit, of any form.' },
  Image: { kind: 'Image', plural: 'images', singular: 'image', scoped: true, spec: imageSpec, summary: 'What instances are made from.' },
  Volume: { kind: 'Volume', plural: 'volumes', singular: 'volume', scoped: true, spec: volumeSpec, summary: 'Data that outlives instances.' },
  Network: { kind: 'Network', plural: 'networks', singular: 'network', scoped: true, spec: networkSpec, summary: 'Addresses, names and rules.' },
  Operation: { kind: 'Operation', plural: 'operations', singular: 'operation', scoped: true, spec: none, summary: 'A long verb at work.' },
  Event: { kind: 'Event', plural: 'events', singular: 'event', scoped: true, spec: none, summary: 'What happened.' },
  AuditRecord: { kind: 'AuditRecord', plural: 'audit', singular: 'audit', scoped: true, spec: none, summary: 'Who did what.' },
  Project: { kind: 'Project', plural: 'projects', singular: 'project', scoped: false, spec: projectSpec, summary: 'A tenancy boundary.' },
  Pool: { kind: 'Pool', plural: 'pools', singular: 'pool', scoped: false, spec: poolSpec, summary: 'Where disks lie.' },
  Node: { kind: 'Node', plural: 'nodes', singular: 'node', scoped: false, spec: none, summary: 'A host.' },
} as const satisfies Record<string, KindRule>;

export type KindName = keyof typeof KINDS;

/** Kinds that live in files alone: nothing of them is stored, so they have no verbs and no routes. */
export const FILE_KINDS = {
  Workload: { kind: 'Workload', plural: 'workloads', singular: 'workload', scoped: false, spec: workloadSpec, summary: 'What somebody runs, before a form is chosen for it: the input of `berth advise`.' },
} as const satisfies Record<string, KindRule>;
