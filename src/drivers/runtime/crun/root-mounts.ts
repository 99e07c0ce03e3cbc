/** What a container's private mount namespace holds: see mounts.ts for the namespace itself. All of it synchronous. */
import fs from 'node:fs';
import path from 'node:path';
import { hideMount, mountIdmapped, mountOverlay, mountScratch, mountUnified } from '../../../host/mounts.ts';
import type { DetachedTree } from '../../../host/own-values.ts';
import { lastOccurrences } from '../../../lib/last-occurrences.ts';
import type { UnitPlan } from '../driver.ts';
import type { CrunGuards } from './crun-options.ts';
import type { NetworkFiles } from './network-files.ts';

export interface RootMounts {
  readonly scratch: string;
  /** Mount of the other cgroup version, which crun must not see. */
  readonly hide: string | undefined;
  /** The unit governs control groups of its own: cgroup v2 must be reachable where it is hidden. */
  readonly delegated: boolean;
  readonly crun: string;
  readonly guards: Pick<CrunGuards, 'bindRuntime' | 'nullDevice'>;
  readonly userNamespaceFd: number;
  readonly idBase: number;
  readonly files: NetworkFiles;
  /** Of an OS container. */
  readonly seed?: Uint8Array | undefined;
  readonly ownValues?: DetachedTree | undefined;
}

/** Mount points, the network files, and what a root without an upper of its own leaves (mount points). */
const SCRATCH_BYTES = 16 * 1024 * 1024;

export function rootPath(scratch: string): string {
  return path.join(scratch, 'root');
}

export function volumeSource(scratch: string, index: number): string {
  return path.join(scratch, `v${index}`);
}

export function networkFile(scratch: string, name: keyof NetworkFiles): string {
  return path.join(scratch, name);
}

export function seedFile(scratch: string): string {
  return path.join(scratch, 'seed');
}

export function ownValues(scratch: string): string {
  return path.join(scratch, 'values');
}

/** For join.c: stands where crun would take the host's own. */
export function nullDevice(scratch: string): string {
  return path.join(scratch, 'null');
}

/** Where cgroup v2 is in a namespace in which it is hidden from crun. */
export function unifiedPath(scratch: string): string {
  return path.join(scratch, 'cgroup2');
}

/** What every call of crun needs around it, also one for a container whose own namespace is gone. */
export function makeCrunMounts(what: Pick<RootMounts, 'scratch' | 'hide' | 'delegated' | 'crun' | 'guards'>): void {
  if (what.hide !== undefined) hideMount(what.hide);
  // What runs as crun inside the container's namespaces (/proc/PID/exe) cannot be written through: CVE-2019-5736.
  what.guards.bindRuntime(what.crun);
  mountScratch(what.scratch, SCRATCH_BYTES);
  what.guards.nullDevice(nullDevice(what.scratch));
  if (what.hide !== undefined && what.delegated) mountUnified(unifiedPath(what.scratch));
}

export function makeRootMounts(plan: UnitPlan, what: RootMounts): void {
  const { scratch, userNamespaceFd, idBase } = what;
  makeCrunMounts(what);
  const lower = lastOccurrences(plan.root.layers).map((layer, index) => {
    const target = path.join(scratch, String(index));
    mountIdmapped(layer, target, userNamespaceFd);
    return target;
  });
  const upper = path.join(scratch, 'upper');
  if (plan.root.upperDir !== undefined) mountIdmapped(plan.root.upperDir, upper, userNamespaceFd);
  else for (const dir of [upper, path.join(upper, 'up'), path.join(upper, 'work')]) own(() => { fs.mkdirSync(dir, { mode: 0o755 }); }, dir, idBase);
  mountOverlay({ target: rootPath(scratch), lower, upper, uid: idBase, gid: idBase, volatile: plan.root.volatile && plan.root.upperDir !== undefined });
  plan.mounts.forEach((mount, index) => { mountIdmapped(mount.source, volumeSource(scratch, index), userNamespaceFd); });
  for (const name of ['hosts', 'hostname', 'resolver'] as const) {
    const file = networkFile(scratch, name);
    own(() => { fs.writeFileSync(file, what.files[name], { mode: 0o644 }); }, file, idBase);
  }
  what.ownValues?.attach(ownValues(scratch));
  const seed = what.seed;
  if (seed !== undefined) own(() => { fs.writeFileSync(seedFile(scratch), seed, { mode: 0o600 }); }, seedFile(scratch), idBase);
}

/** Shown inside as root's. */
function own(make: () => void, file: string, idBase: number): void {
  make();
  fs.chownSync(file, idBase, idBase);
}
