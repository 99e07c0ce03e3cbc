/** Where a runtime keeps what: everything of a unit below the run directory is gone after a reboot, as the unit is. */
import path from 'node:path';
import type { ObjectId } from '../../../model/ids.ts';

export interface UnitPaths {
  /** The OCI bundle and conmon's directory, 0700. */
  readonly dir: string;
  readonly config: string;
  /** What the next daemon needs to know: see unit-record.ts. */
  readonly record: string;
  /** crun's own directory of this unit. */
  readonly state: string;
  /** There until the workload is let go. */
  readonly fifo: string;
  /** conmon makes it when the kernel kills for memory. */
  readonly oom: string;
  readonly logDir: string;
}

export interface RuntimePaths {
  readonly units: string;
  readonly state: string;
  readonly exits: string;
  readonly logs: string;
  readonly cache: string;
  /** Empty directory of the host; each unit's private mount namespace has a tmpfs here with all its mounts. */
  readonly scratch: string;
  unit(id: ObjectId): UnitPaths;
}

export function runtimePaths(rootDir: string, runDir: string): RuntimePaths {
  const units = path.join(runDir, 'i'), state = path.join(runDir, 'crun'), logs = path.join(rootDir, 'logs');
  return {
    units, state, logs,
    exits: path.join(runDir, 'exits'),
    cache: path.join(rootDir, 'cache', 'seccomp'),
    scratch: path.join(runDir, 'm'),
    unit(id) {
      const dir = path.join(units, id);
      return {
        dir,
        config: path.join(dir, 'config.json'), record: path.join(dir, 'unit.json'), oom: path.join(dir, 'oom'),
        state: path.join(state, id), fifo: path.join(state, id, 'exec.fifo'),
        logDir: path.join(logs, id),
      };
    },
  };
}
