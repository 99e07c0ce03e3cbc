/** The statements of the store, prepared once. Every method is one statement; who calls them decides on transactions. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { KeyBounds } from '../driver.ts';
import type { HistoryRow } from './row.ts';

/** What compares and changes need to know of a key that exists. */
export interface LiveRow {
  readonly key: string;
  readonly revision: number;
  readonly created: number;
  readonly version: number;
}

export type Mark = 'floor' | 'compacted' | 'swept' | 'opened';

/** A transaction can change this many keys: the lower bits of a history id. */
export const MAX_CHANGES_PER_REVISION = 2 ** 20;

const ROW = 'h.id >> 20 AS revision, h.key, h.value, h.created, h.version, h.lease, h.crc';
/** Every blob sorts after every text, so this one bounds nothing. */
const NO_BOUND = Uint8Array.of(0);

export interface Tables {
  live(key: string): LiveRow | undefined;
  liveWithin(bounds: KeyBounds): LiveRow[];
  leasedKeys(lease: string): string[];
  putLive(row: Omit<HistoryRow, 'crc' | 'value'>, place: number): void;
  dropLive(key: string): void;
  addHistory(row: HistoryRow, place: number): void;
  get(key: string): HistoryRow | undefined;
  getAt(key: string, revision: number): HistoryRow | undefined;
  range(bounds: KeyBounds, limit: number): HistoryRow[];
  rangeAt(bounds: KeyBounds, limit: number, revision: number): HistoryRow[];
  /** Changes of the revisions after `from` up to `to`, oldest first. */
  changes(bounds: KeyBounds, from: number, to: number): HistoryRow[];
  newest(): number;
  mark(name: Mark): number;
  setMark(name: Mark, revision: number): void;
  /** The revision that ends the next `rows` rows after `from`, at most `to`. */
  sweepEnd(from: number, to: number, rows: number): number;
  /** Deletes what is dead at `to` because of the revisions after `from` up to `to`. */
  sweep(from: number, to: number): void;
  leases(): { id: string; ttlMs: number }[];
  addLease(id: string, ttlMs: number): void;
  dropLease(id: string): void;
  begin(): void;
  commit(): void;
  rollback(): void;
}

export function prepareTables(db: DatabaseSync): Tables {
  const all = (statement: StatementSync, ...values: SQLInputValue[]): unknown[] => statement.all(...values);
  const within = ({ low, high }: KeyBounds): [string, string | Uint8Array] => [low, high ?? NO_BOUND];
  const prepare = (sql: string): StatementSync => db.prepare(sql);

  const live = prepare('SELECT key, id >> 20 AS revision, created, version FROM live WHERE key = ?');
  const liveWithin = prepare('SELECT key, id >> 20 AS revision, created, version FROM live WHERE key >= ? AND key < ? ORDER BY key');
  const leasedKeys = prepare('SELECT key FROM live WHERE lease = ? ORDER BY key');
  const putLive = prepare(`INSERT INTO live (key, id, created, version, lease) VALUES (?, (? << 20) + ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET id = excluded.id, created = excluded.created, version = excluded.version, lease = excluded.lease`);
  const dropLive = prepare('DELETE FROM live WHERE key = ?');
  const addHistory = prepare('INSERT INTO history (id, key, value, created, version, lease, crc) VALUES ((? << 20) + ?, ?, ?, ?, ?, ?, ?)');
  const get = prepare(`SELECT ${ROW} FROM live l JOIN history h ON h.id = l.id WHERE l.key = ?`);
  const getAt = prepare(`SELECT ${ROW} FROM history h WHERE h.key = ? AND h.id < (? + 1) << 20 ORDER BY h.id DESC LIMIT 1`);
  const range = prepare(`SELECT l.key AS live_key, ${ROW} FROM live l LEFT JOIN history h ON h.id = l.id WHERE l.key >= ? AND l.key < ? ORDER BY l.key LIMIT ?`);
  const rangeAt = prepare(`SELECT ${ROW} FROM history h WHERE h.key >= ? AND h.key < ? AND h.version > 0
    AND h.id = (SELECT max(n.id) FROM history n WHERE n.key = h.key AND n.id < (? + 1) << 20) ORDER BY h.key LIMIT ?`);
  // The plus keeps SQLite from using the index by key: the scan is by id.
  const changes = prepare(`SELECT ${ROW} FROM history h WHERE h.id >= (? + 1) << 20 AND h.id < (? + 1) << 20 AND +h.key >= ? AND +h.key < ? ORDER BY h.id`);
  const newest = prepare("SELECT max(coalesce((SELECT max(id) >> 20 FROM history), 0), (SELECT revision FROM marks WHERE name = 'floor')) AS revision");
  const mark = prepare('SELECT revision FROM marks WHERE name = ?');
  const setMark = prepare('UPDATE marks SET revision = ? WHERE name = ?');
  const sweepEnd = prepare('SELECT max(id) >> 20 AS revision FROM (SELECT id FROM history WHERE id >= (? + 1) << 20 AND id < (? + 1) << 20 ORDER BY id LIMIT ?)');
  const sweepOlder = prepare(`DELETE FROM history WHERE id IN (SELECT o.id FROM history h JOIN history o ON o.key = h.key AND o.id < h.id
    WHERE h.id >= (? + 1) << 20 AND h.id < (? + 1) << 20)`);
  const sweepDeletions = prepare('DELETE FROM history WHERE version = 0 AND id >= (? + 1) << 20 AND id < (? + 1) << 20');
  const leases = prepare('SELECT id, ttl_ms AS ttlMs FROM leases');
  const addLease = prepare('INSERT INTO leases (id, ttl_ms) VALUES (?, ?)');
  const dropLease = prepare('DELETE FROM leases WHERE id = ?');
  const begin = prepare('BEGIN IMMEDIATE');
  const commit = prepare('COMMIT');

  return {
    live: (key) => live.get(key) as LiveRow | undefined,
    liveWithin: (bounds) => all(liveWithin, ...within(bounds)) as LiveRow[],
    leasedKeys: (lease) => (all(leasedKeys, lease) as { key: string }[]).map(({ key }) => key),
    putLive: (row, place) => void putLive.run(row.key, row.revision, place, row.created, row.version, row.lease),
    dropLive: (key) => void dropLive.run(key),
    addHistory: (row, place) => void addHistory.run(row.revision, place, row.key, row.value, row.created, row.version, row.lease, row.crc),
    get: (key) => get.get(key) as HistoryRow | undefined,
    getAt: (key, revision) => getAt.get(key, revision) as HistoryRow | undefined,
    range: (bounds, limit) => all(range, ...within(bounds), limit) as HistoryRow[],
    rangeAt: (bounds, limit, revision) => all(rangeAt, ...within(bounds), revision, limit) as HistoryRow[],
    changes: (bounds, from, to) => all(changes, from, to, ...within(bounds)) as HistoryRow[],
    newest: () => (newest.get() as { revision: number }).revision,
    mark: (name) => (mark.get(name) as { revision: number }).revision,
    setMark: (name, revision) => void setMark.run(revision, name),
    sweepEnd: (from, to, rows) => (sweepEnd.get(from, to, rows) as { revision: number | null }).revision ?? to,
    sweep: (from, to) => {
      sweepOlder.run(from, to);
      sweepDeletions.run(from, to);
    },
    leases: () => all(leases) as { id: string; ttlMs: number }[],
    addLease: (id, ttlMs) => void addLease.run(id, ttlMs),
    dropLease: (id) => void dropLease.run(id),
    begin: () => void begin.run(),
    commit: () => void commit.run(),
    rollback: () => {
      if (db.isTransaction) db.exec('ROLLBACK');
    },
  };
}
