/** One transaction of the store against the tables, within the SQLite transaction of its group. */
import { BerthError } from '../../../model/errors.ts';
import { noSuchLease, rangeBounds, type Change, type Compare, type StoreEvent, type WatchBatch } from '../driver.ts';
import { asValue, rowChecksum, type HistoryRow } from './row.ts';
import { MAX_CHANGES_PER_REVISION, type LiveRow, type Tables } from './tables.ts';

export interface Applied {
  readonly succeeded: boolean;
  /** Missing when nothing was changed. */
  readonly batch?: WatchBatch | undefined;
}

/**
 * Throws before the first write, so that a refused transaction leaves its group as it was. `revision` is the one to
 * take when something changes; `hasLease` says whether a lease lives.
 */
export function applyTxn(
  tables: Tables, compares: readonly Compare[], changes: readonly Change[], revision: number, hasLease: (lease: string) => boolean,
): Applied {
  if (!compares.every((compare) => holds(tables.live(compare.key), compare))) return { succeeded: false };
  for (const change of changes) {
    if ('put' in change && change.lease !== undefined && !hasLease(change.lease)) throw noSuchLease(change.lease);
  }
  const doomed = new Map<Change, LiveRow[]>();
  let count = changes.length;
  for (const change of changes) {
    if (!('deletePrefix' in change)) continue;
    const rows = tables.liveWithin(rangeBounds({ prefix: change.deletePrefix }));
    count += rows.length;
    doomed.set(change, rows);
  }
  if (count >= MAX_CHANGES_PER_REVISION) throw new BerthError('exhausted', `A transaction cannot delete ${count} keys at once.`, { hint: 'Delete smaller prefixes.' });

  const events: StoreEvent[] = [];
  const remove = (row: LiveRow): void => {
    const gone = { revision, key: row.key, value: null, created: row.created, version: 0, lease: null };
    tables.addHistory({ ...gone, crc: rowChecksum(gone) }, events.length);
    tables.dropLive(row.key);
    events.push({ type: 'delete', key: row.key, modRevision: revision });
  };
  for (const change of changes) {
    if ('put' in change) {
      const before = tables.live(change.put);
      const fresh = {
        revision, key: change.put, value: change.value, created: before?.created ?? revision, version: (before?.version ?? 0) + 1,
        lease: change.lease ?? null,
      };
      const row: HistoryRow = { ...fresh, crc: rowChecksum(fresh) };
      tables.addHistory(row, events.length);
      tables.putLive(row, events.length);
      events.push({ type: 'put', value: asValue(row) });
    } else if ('delete' in change) {
      const row = tables.live(change.delete);
      if (row !== undefined) remove(row);
    } else {
      for (const row of doomed.get(change) ?? []) remove(row);
    }
  }
  return { succeeded: true, batch: events.length === 0 ? undefined : { revision, events } };
}

function holds(row: LiveRow | undefined, compare: Compare): boolean {
  if ('absent' in compare) return row === undefined;
  if ('present' in compare) return row !== undefined;
  return row?.revision === compare.modRevision;
}
