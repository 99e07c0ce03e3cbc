/** Everything that control works with, handed in by the composition root. Control itself opens no file and no socket. */
import type { ContentStore } from '../drivers/content/driver.ts';
import type { RegistryDriver } from '../drivers/registry/driver.ts';
import type { NetworkDriver } from '../drivers/network/driver.ts';
import type { RuntimeDriver } from '../drivers/runtime/driver.ts';
import type { StorageDriver } from '../drivers/storage/driver.ts';
import type { Unpacker } from '../drivers/unpack/driver.ts';
import type { AdviseRequest } from '../model/advise-request.ts';
import type { SettledIsolation } from '../model/forms.ts';
import type { Clock, Randomness } from './clock.ts';
import type { ImageUses } from './image/image-uses.ts';
import type { Journal } from './journal.ts';
import type { Locks } from './locks.ts';
import type { Registry } from './registry.ts';

export interface Logger {
  info(facts: Readonly<Record<string, unknown>>, message: string): void;
  warn(facts: Readonly<Record<string, unknown>>, message: string): void;
  error(facts: Readonly<Record<string, unknown>>, message: string): void;
}

export interface HostFacts {
  readonly memoryTotalBytes: number;
  readonly memoryAvailableBytes: number;
  readonly diskTotalBytes: number;
  readonly diskFreeBytes: number;
}

/** Seen from outside: /proc and control groups. */
export interface ProcessEvidence {
  readonly memoryBytes: number;
  readonly monitorMemoryBytes: number;
  readonly memoryPeakBytes?: number | undefined;
  readonly cpuSeconds: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly processes: number;
  readonly isPartial: boolean;
  readonly listeningPorts: readonly number[];
  readonly uids: readonly number[];
  readonly hasRawSockets: boolean;
}

/** The decision engine off the main thread: a large estate takes seconds. Errors: `busy` when too many wait, `timeout`. */
export interface Adviser {
  advise(request: AdviseRequest): Promise<{ readonly contentType: string; readonly text: string }>;
}

export interface Services {
  readonly nodeName: string;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly log: Logger;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly locks: Locks;
  readonly runtimes: Readonly<Record<SettledIsolation, RuntimeDriver>>;
  readonly storage: StorageDriver;
  readonly network: NetworkDriver;
  readonly content: ContentStore;
  readonly unpacker: Unpacker;
  readonly registries: RegistryDriver;
  readonly imageUses: ImageUses;
  readonly hostFacts: () => Promise<HostFacts>;
  /** What a unit's processes use and hold; undefined when they are gone. */
  readonly processEvidence: (of: { readonly pid: number; readonly monitorPid: number | undefined }) => Promise<ProcessEvidence | undefined>;
  readonly adviser: Adviser;
  /** Bytes on the disk of files, those that are there. */
  readonly fileBytes: (files: readonly string[]) => Promise<number>;
}

/** Who asks, from the verified credential. */
export interface Caller {
  /** uid:0, uid:1000, system. */
  readonly actor: string;
  readonly admin: boolean;
  /** Uid 0 on the socket: may name paths of the host. */
  readonly hostPaths: boolean;
  readonly requestId: string;
}

export const SYSTEM: Caller = { actor: 'system', admin: true, hostPaths: true, requestId: 'system' };
