import os from 'node:os';
import { bindReadOnlyInPlace, makeNullDevice } from '../../../host/mounts.ts';
import type { ObjectId } from '../../../model/ids.ts';
import { MASKED_PATHS, OS_READ_ONLY_PATHS, READ_ONLY_PATHS, thermalPaths } from './hidden-paths.ts';
import type { OciSeccomp } from './oci-types.ts';
import { execProcess, ociSpec } from './oci-spec.ts';
import { RootPreflight } from './preflight.ts';
import { seccompProfile } from './seccomp-profile.ts';
import { assertOwnDirectory } from './working-directory.ts';

/** The walls of a container that are ours to build. Tests take one away to see their case go red; nothing else may. */
export interface CrunGuards {
  readonly preflight: { check(layers: readonly string[], upper: string | undefined): void };
  /** Everything that crun is told: see oci-spec.ts. */
  readonly spec: typeof ociSpec;
  readonly execProcess: typeof execProcess;
  readonly maskedPaths: readonly string[];
  readonly readOnlyPaths: readonly string[];
  readonly osReadOnlyPaths: readonly string[];
  /** undefined: no filter. */
  readonly seccomp: (capabilities: readonly string[]) => OciSeccomp | undefined;
  /** Makes crun's file unwritable in a private mount namespace. */
  readonly bindRuntime: (crun: string) => void;
  /** Makes the file that stands for the host's /dev/null as a standard stream. */
  readonly nullDevice: (file: string) => void;
  /** Refuses a container that waits with a working directory outside of its own mounts. */
  readonly workingDirectory: (pid: number) => void;
}

export interface Sandboxed {
  readonly userNamespaceFd: number;
  readonly networkNamespaceFd: number;
  readonly idBase: number;
  readonly idCount: number;
}

export interface CrunOptions {
  /** State that outlives a reboot: logs, compiled filters. */
  readonly rootDir: string;
  /** State that does not. At most 60 bytes long; others may pass through it (x): the container's root does. */
  readonly runDir: string;
  /** Names of the root on this host: control groups are `berth-TAG/ID`. */
  readonly rootTag: string;
  readonly nativeProgram: string;
  readonly crun: string;
  readonly conmon: string;
  /** Namespaces for a plan that brings none; `close` after the unit took them. */
  readonly openSandbox: (id: ObjectId) => Promise<Sandboxed & { close(): void }>;
  /** Shows OS containers their own memory, processors and load; its file, where it is installed. */
  readonly lxcfs?: string | undefined;
  readonly guards?: Partial<CrunGuards> | undefined;
  /** How long crun may take to bring the container up. */
  readonly createTimeoutMs?: number | undefined;
  /** Told how long each step took. */
  readonly timings?: ((step: string, milliseconds: number) => void) | undefined;
}

export function defaultGuards(): CrunGuards {
  const profiles = new Map<string, OciSeccomp>();
  return {
    preflight: new RootPreflight(),
    spec: ociSpec, execProcess,
    bindRuntime: bindReadOnlyInPlace, nullDevice: makeNullDevice, workingDirectory: assertOwnDirectory,
    maskedPaths: [...MASKED_PATHS, ...thermalPaths(os.cpus().length)],
    readOnlyPaths: READ_ONLY_PATHS,
    osReadOnlyPaths: OS_READ_ONLY_PATHS,
    seccomp(capabilities) {
      const key = [...capabilities].sort().join();
      let profile = profiles.get(key);
      if (profile === undefined) profiles.set(key, profile = seccompProfile(capabilities, process.arch));
      return profile;
    },
  };
}
