/** What each verb answers, for the compiler alone. */
import type { AuditRecord } from '../model/audit-record.ts';
import type { DiskUsage, ImageUsage, WarmTemplate } from '../model/disk-usage.ts';
import type { InstanceEvidence, InstanceReview } from '../model/evidence.ts';
import type { Event } from '../model/event.ts';
import type { Image } from '../model/image.ts';
import type { Instance, InstanceState, StopReason } from '../model/instance-status.ts';
import type { InstanceProcesses } from '../model/instance-processes.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import type { Operation } from '../model/operation.ts';
import type { Pool } from '../model/pool.ts';
import type { Project } from '../model/project.ts';
import type { Volume } from '../model/volume.ts';

export interface ListOf<T> {
  readonly kind: string;
  readonly revision: number;
  readonly items: readonly T[];
}

export interface Answers {
  'instance.list': ListOf<Instance>;
  'instance.create': Operation;
  'instance.get': Instance;
  'instance.update': Instance;
  'instance.delete': Operation;
  'instance.start': Operation;
  'instance.stop': Operation;
  'instance.restart': Operation;
  'instance.kill': Instance;
  'instance.pause': Instance;
  'instance.resume': Instance;
  'instance.rename': Instance;
  'instance.resize': unknown;
  'instance.copyIn': unknown;
  'instance.wait': { readonly state: InstanceState | 'removed'; readonly exitCode?: number; readonly reason?: StopReason };
  'instance.stats': ListOf<Readonly<Record<string, unknown>>>;
  'instance.top': { readonly items: readonly InstanceProcesses[] };
  'instance.evidence': InstanceEvidence;
  'advise.review': { readonly figures: { readonly host: string; readonly shipped: boolean }; readonly items: readonly InstanceReview[] };
  'node.setFigures': Node;
  'image.list': ListOf<Image>;
  'image.get': Image;
  'image.tag': Image;
  'image.delete': unknown;
  'image.bootstrap': Operation;
  'image.pull': Operation;
  'image.push': Operation;
  'image.copy': Operation;
  'image.prune': { readonly deleted: readonly { readonly id: string; readonly references: readonly string[] }[]; readonly freedBytes: number };
  'image.usage': { readonly items: readonly ImageUsage[] };
  'image.import': { readonly images: readonly { readonly reference?: string; readonly references?: readonly string[]; readonly id: string }[] };
  'volume.list': ListOf<Volume>;
  'volume.create': Operation;
  'volume.get': Volume;
  'volume.delete': Operation;
  'volume.update': Volume;
  'network.list': ListOf<Network>;
  'network.create': Operation;
  'network.get': Network;
  'network.delete': Operation;
  'operation.list': ListOf<Operation>;
  'operation.get': Operation;
  'operation.cancel': Operation;
  'event.list': ListOf<Event>;
  'audit.list': ListOf<AuditRecord>;
  'project.list': ListOf<Project>;
  'project.create': Project;
  'project.get': Project;
  'project.update': Project;
  'project.delete': unknown;
  'pool.list': ListOf<Pool>;
  'pool.get': Pool;
  'node.list': ListOf<Node>;
  'node.get': Node;
  'registry.list': { readonly search: readonly string[]; readonly items: readonly { readonly name: string; readonly mirrors: readonly string[] }[] };
  'registry.login': { readonly registry: string; readonly identityToken?: string };
  'system.df': DiskUsage;
  'system.templates': { readonly items: readonly WarmTemplate[] };
  'system.pruneTemplates': { readonly deleted: readonly WarmTemplate[]; readonly freedBytes: number };
  'debug.leaks': { readonly leaks: readonly unknown[] };
  'debug.steps': { readonly steps: readonly { readonly verb: string; readonly step: string; readonly undo: boolean; readonly onCrash: string }[] };
}

export type AnsweredVerb = keyof Answers;
