/** What all verbs of the driver share: the doors that were opened for this root, and what is known of its units. */
import fs from 'node:fs';
import path from 'node:path';
import type { ControlGroups } from '../../../host/cgroup.ts';
import { MonitorExits } from '../../../host/monitor-exit.ts';
import { openControlGroups } from '../../../host/cgroup.ts';
import { OwnValues } from '../../../host/own-values.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import { readCeilings } from './ceilings.ts';
import { defaultGuards, type CrunGuards, type CrunOptions } from './crun-options.ts';
import type { Ceilings } from './oci-spec.ts';
import { SeccompCache } from './seccomp-cache.ts';
import { runtimePaths, type RuntimePaths } from './unit-paths.ts';
import { readRecord, type UnitRecord } from './unit-record.ts';

/** Room for `/i/ID/conmon-term.XXXXXX` in a socket address. */
const MAX_RUN_DIR_BYTES = 60;

export interface CrunHost {
  readonly options: CrunOptions;
  readonly guards: CrunGuards;
  readonly paths: RuntimePaths;
  readonly groups: ControlGroups;
  readonly exits: MonitorExits;
  readonly seccomp: SeccompCache;
  readonly ownValues: OwnValues;
  readonly ceilings: Ceilings;
  /** crun’s own file, links resolved: a bind mount wants it. */
  readonly crun: string;
  /** undefined: no unit of this id was ever made here. */
  record(id: ObjectId): UnitRecord | undefined;
  remember(id: ObjectId, record: UnitRecord): void;
  forget(id: ObjectId): void;
  timed<T>(step: string, work: () => T): T;
}

/** Errors: `invalid` (the run directory will not do), `unavailable` (no crun, no control groups). */
export function openCrunHost(options: CrunOptions, compiler: string | undefined): CrunHost {
  const paths = runtimePaths(options.rootDir, options.runDir);
  if (Buffer.byteLength(options.runDir) > MAX_RUN_DIR_BYTES) {
    throw new BerthError('invalid', `The run directory ${options.runDir} is longer than ${MAX_RUN_DIR_BYTES} bytes, too long for the sockets in it.`, { hint: 'Choose a shorter one, such as /run/berth.' });
  }
  fs.mkdirSync(options.runDir, { recursive: true, mode: 0o711 });
  for (const dir of [paths.units, paths.state, paths.exits, paths.logs]) fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  fs.mkdirSync(paths.scratch, { recursive: true, mode: 0o711 });
  assertPassable(options.runDir);
  const records = new Map<ObjectId, UnitRecord>();
  return {
    options, paths,
    guards: { ...defaultGuards(), ...options.guards },
    groups: openControlGroups(`berth-${options.rootTag}`),
    exits: new MonitorExits(paths.exits),
    seccomp: new SeccompCache(paths.cache, compiler),
    ownValues: new OwnValues(options.lxcfs ?? '', path.join(options.runDir, 'lxcfs')),
    ceilings: readCeilings(),
    crun: fs.realpathSync(options.crun),
    record(id) {
      let record = records.get(id);
      if (record === undefined && (record = readRecord(paths.unit(id).record)) !== undefined) records.set(id, record);
      return record;
    },
    remember(id, record) {
      records.set(id, record);
    },
    forget(id) {
      records.delete(id);
    },
    timed(step, work) {
      if (options.timings === undefined) return work();
      const begin = performance.now();
      const report = (): void => { options.timings!(step, performance.now() - begin); };
      const result = work();
      if (result instanceof Promise) result.then(report, report);
      else report();
      return result;
    },
  };
}

/** crun goes on as the container's root, which must find the mounts below the run directory. */
function assertPassable(runDir: string): void {
  const parts = runDir.split('/').filter((part) => part !== '');
  for (let count = 1; count <= parts.length; count++) {
    const dir = `/${parts.slice(0, count).join('/')}`;
    if ((fs.statSync(dir).mode & 0o001) === 0) {
      throw new BerthError('invalid', `The run directory ${runDir} cannot be used: other users may not pass through ${dir}.`, { hint: `chmod o+x ${dir}, or choose another run directory.` });
    }
  }
}
