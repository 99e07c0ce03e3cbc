/** Opens the file of a store: checks it, never starts empty where a store was, and brings older files up to date. */
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { exists } from '../../../host/files.ts';
import { acknowledgedName, openAcknowledged, readAcknowledged } from './acknowledged.ts';
import { corruptStore, diskFull, sqliteError } from './errors.ts';
import { markerName, readMarker, writeMarker, type StoreMark } from './marker.ts';
import { checkRow, type HistoryRow } from './row.ts';
import { prepareTables } from './tables.ts';
import { APPLICATION_ID, checkNotNewer, copyAside, MIGRATIONS, migrate, schemaVersion, targetVersion, type Migration } from './schema.ts';
import { walDamage } from './wal-check.ts';

/** Pages of 4 KiB in the write-ahead log before it is carried over: small, because that happens on the event loop. */
const CHECKPOINT_PAGES = 256;
/** What a burst made longer is cut back to this. */
const MAX_LOG_BYTES = 4 * 1024 * 1024;
/** With less, not even the files that belong to an open store can be made. */
const MIN_FREE_BYTES = 64 * 1024;
const HEADER = 'SQLite format 3\0';

/** Only the database's own handle may touch the file while it is open: closing any other one would drop its lock. */
const openFiles = new Set<string>();

export interface OpenedFile {
  readonly db: DatabaseSync;
  /** Call it after each commit, before its writers hear of it. */
  acknowledge(revision: number): void;
  /** Closes the database and marks it clean. */
  close(): Promise<void>;
}

export async function openFile(file: string, migrations: readonly Migration[] = MIGRATIONS): Promise<OpenedFile> {
  const name = path.resolve(file);
  if (openFiles.has(name)) throw sqliteError({ errcode: 5 }, file);
  openFiles.add(name);
  let db: DatabaseSync | undefined;
  try {
    const mark = await readMarker(file);
    const bytes = checkFile(file, mark);
    const clean = mark === 'clean' && !(await exists(`${file}-wal`));
    // Closing a connection that may write would carry the log over into the damaged file: it looks first, without writing.
    if (bytes > 0) inspect(file, migrations, !clean);
    db = connect(file);
    const version = schemaVersion(db);
    if (version < targetVersion(migrations)) {
      if (mark !== 'none' || version > 0) {
        // The copy must be whole without its log.
        db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
        db.close();
        await copyAside(file, version);
        db = connect(file);
      }
      migrate(db, migrations);
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    }
    // The first commit makes the log, so that a log that is missing later is known to have been lost.
    db.exec("UPDATE marks SET revision = revision + 1 WHERE name = 'opened'");
    await writeMarker(file, 'open');
    const opened = db;
    const acknowledged = openAcknowledged(file);
    acknowledged.note(prepareTables(opened).newest());
    return {
      db: opened,
      acknowledge: (revision) => acknowledged.note(revision),
      async close() {
        acknowledged[Symbol.dispose]();
        await closeFile(opened, file);
      },
    };
  } catch (error) {
    if (db?.isOpen === true) db.close();
    openFiles.delete(path.resolve(file));
    const told = sqliteError(error, file);
    throw told.details?.['reason'] === 'io' && isFull(file) ? diskFull(file, error) : told;
  }
}

/** SQLite calls it an I/O error when there is no room for the index of the log. */
function isFull(file: string): boolean {
  try {
    const { bavail, bsize } = fs.statfsSync(path.dirname(file));
    return bavail * bsize < MIN_FREE_BYTES;
  } catch {
    return false;
  }
}

/** `suspect`: the store was not closed well, so every page and row is read. */
function inspect(file: string, migrations: readonly Migration[], suspect: boolean): void {
  const db = new DatabaseSync(file, { readOnly: true, timeout: 0 });
  try {
    const { n: tables } = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
    const { application_id: id } = db.prepare('PRAGMA application_id').get() as { application_id: number };
    if (tables > 0 && id !== APPLICATION_ID) throw corruptStore(file, 'it is a database of another program');
    checkNotNewer(db, file, migrations);
    if (tables > 0 && schemaVersion(db) === targetVersion(MIGRATIONS)) checkNothingLost(db, file);
    if (!suspect) return;
    checkPages(db, file);
    if (schemaVersion(db) === targetVersion(MIGRATIONS)) checkRows(db, file);
  } finally {
    db.close();
    // Looking leaves an index of the log behind, which the writing connection keeps in memory, and an empty log.
    fs.rmSync(`${file}-shm`, { force: true });
    if (fs.statSync(`${file}-wal`, { throwIfNoEntry: false })?.size === 0) fs.rmSync(`${file}-wal`);
  }
}

async function closeFile(db: DatabaseSync, file: string): Promise<void> {
  try {
    await writeMarker(file, 'closing').catch(() => undefined); // a full disk must not keep the store from closing
    db.close();
    if (!(await exists(`${file}-wal`))) await writeMarker(file, 'clean').catch(() => undefined);
  } finally {
    openFiles.delete(path.resolve(file));
  }
}

function connect(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { enableForeignKeyConstraints: false, timeout: 0 });
  try {
    db.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA trusted_schema = OFF;
      PRAGMA cell_size_check = ON;
      PRAGMA temp_store = MEMORY;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
      PRAGMA journal_size_limit = ${MAX_LOG_BYTES};
    `);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** What can be said about the bytes before SQLite sees them (https://sqlite.org/fileformat2.html §1.3). Answers their number. */
function checkFile(file: string, mark: StoreMark): number {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined || stat.size === 0) {
    if (mark === 'none') {
      fs.closeSync(fs.openSync(file, 'a', 0o600)); // SQLite would use the umask
      return 0;
    }
    throw corruptStore(file, `${stat === undefined ? 'it is gone' : 'it is empty'}, and ${markerName(file)} says that there was one`);
  }
  if (!stat.isFile()) throw corruptStore(file, 'it is not a regular file');
  const header = Buffer.alloc(100);
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    if (fs.readSync(fd, header, 0, 100, 0) < 100 || header.toString('latin1', 0, 16) !== HEADER) throw corruptStore(file, 'it does not begin like a database');
  } finally {
    fs.closeSync(fd);
  }
  const walBytes = fs.lstatSync(`${file}-wal`, { throwIfNoEntry: false })?.size;
  if (mark === 'clean' && walBytes === undefined) {
    const pageBytes = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16);
    if (header.readUInt32BE(28) * pageBytes !== stat.size) throw corruptStore(file, 'it has another length than its header says');
    return stat.size;
  }
  if (mark === 'open' && (walBytes === undefined || walBytes === 0)) throw corruptStore(file, 'its write-ahead log is gone');
  if (walBytes === undefined) return stat.size;
  const damage = walDamage(fs.readFileSync(`${file}-wal`));
  if (damage !== undefined) throw corruptStore(file, damage);
  return stat.size;
}

function checkNothingLost(db: DatabaseSync, file: string): void {
  const newest = prepareTables(db).newest();
  const acknowledged = readAcknowledged(file);
  if (newest >= acknowledged) return;
  throw corruptStore(file, `it ends at revision ${newest}, and revision ${acknowledged} had been acknowledged`, {
    hint: `Nothing was changed. Copy the file and those beside it, and check the disk. If this is a backup that you brought back, remove ${acknowledgedName(file)} and start again.`,
  });
}

function checkPages(db: DatabaseSync, file: string): void {
  const answer = db.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
  if (answer.quick_check !== 'ok') throw corruptStore(file, answer.quick_check);
}

/** What quick_check leaves out: the bytes of each row, and that `live` and `history` tell the same. */
function checkRows(db: DatabaseSync, file: string): void {
  for (const row of db.prepare('SELECT id >> 20 AS revision, key, value, created, version, lease, crc FROM history').iterate()) {
    checkRow(row as unknown as HistoryRow, file);
  }
  const astray = db.prepare(`
    SELECT l.key FROM live l LEFT JOIN history h ON h.id = l.id
    WHERE h.key IS NOT l.key OR h.version <> l.version OR h.created <> l.created OR h.lease IS NOT l.lease
    UNION ALL
    SELECT h.key FROM history h LEFT JOIN live l ON l.key = h.key
    WHERE h.version > 0 AND h.id = (SELECT max(n.id) FROM history n WHERE n.key = h.key) AND l.id IS NOT h.id
    LIMIT 1`).get() as { key: string } | undefined;
  if (astray !== undefined) throw corruptStore(file, `the index and the history differ about ${JSON.stringify(astray.key)}`);
}
