/** The tables of the store, and how an older file becomes one of this version. */
import fs from 'node:fs';
import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { syncDirectory } from '../../../host/files.ts';
import { BerthError } from '../../../model/errors.ts';

/** "Brth": in the header of every file of ours, so that no foreign database is taken for a store. */
export const APPLICATION_ID = 0x42727468;

/** One step from version `from` to `from + 1`, run in a transaction of its own. */
export interface Migration {
  readonly from: number;
  apply(db: DatabaseSync): void;
}

/** Grows by one entry whenever the tables change; never changes what stands. */
export const MIGRATIONS: readonly Migration[] = [{ from: 0, apply: createTables }];

/**
 * `history` has a row a change; its id is revision × 2^20 + place within the transaction, so that a watch is a scan by
 * id. `version` 0 is a deletion. `live` has a row a key that exists, with what compares need, so that checking a
 * transaction reads no values. `crc` covers the row (row.ts): a bit that flipped on the disk is seen when it is read.
 */
function createTables(db: DatabaseSync): void {
  db.exec(`
    CREATE TABLE history (
      id INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, created INTEGER NOT NULL, version INTEGER NOT NULL,
      lease TEXT, crc INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX history_by_key ON history (key, id);
    CREATE TABLE live (
      key TEXT PRIMARY KEY, id INTEGER NOT NULL, created INTEGER NOT NULL, version INTEGER NOT NULL, lease TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX live_by_lease ON live (lease, key) WHERE lease IS NOT NULL;
    CREATE TABLE leases (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE marks (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO marks VALUES ('floor', 0), ('compacted', 0), ('swept', 0), ('opened', 0);
  `);
}

export function schemaVersion(db: DatabaseSync): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
}

export function targetVersion(migrations: readonly Migration[]): number {
  return Math.max(...migrations.map(({ from }) => from)) + 1;
}

export function checkNotNewer(db: DatabaseSync, file: string, migrations: readonly Migration[]): void {
  const version = schemaVersion(db);
  const known = targetVersion(migrations);
  if (version <= known) return;
  throw new BerthError('unsupported', `The store ${file} has version ${version}; this Berth knows versions up to ${known}.`, {
    hint: 'Start the newer Berth that wrote it, or bring back the copy that was put aside before the upgrade.',
    details: { reason: 'newerSchema', version, known },
  });
}

/** Each step is one transaction that also moves the version: killed anywhere, the next start goes on from there. */
export function migrate(db: DatabaseSync, migrations: readonly Migration[]): void {
  for (let version = schemaVersion(db); version < targetVersion(migrations); version++) {
    const step = migrations.find(({ from }) => from === version);
    if (step === undefined) throw new BerthError('internal', `No migration leads from version ${version} of the store.`);
    db.exec('BEGIN IMMEDIATE');
    try {
      step.apply(db);
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version + 1}; COMMIT`);
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}

/** The name of the copy that is put aside before the first step. */
export function asideName(file: string, version: number): string {
  return `${file}.version-${version}`;
}

/** `file` must be closed and checkpointed. A whole copy of an earlier, killed try is kept: it is the older one. */
export async function copyAside(file: string, version: number): Promise<void> {
  const aside = asideName(file, version);
  if (fs.existsSync(aside)) return;
  const temporary = `${aside}.tmp`;
  await fs.promises.copyFile(file, temporary, fs.constants.COPYFILE_FICLONE);
  const handle = await fs.promises.open(temporary, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await fs.promises.rename(temporary, aside);
  await syncDirectory(path.dirname(aside));
}
