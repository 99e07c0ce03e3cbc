/** A row of `history` as a value of the store, with its checksum. */
import { crc32 } from 'node:zlib';
import type { StoredValue, StoreEvent } from '../driver.ts';
import { corruptStore } from './errors.ts';

export interface HistoryRow {
  readonly revision: number;
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly created: number;
  /** 0: the key was deleted. */
  readonly version: number;
  readonly lease: string | null;
  readonly crc: number;
}

export function rowChecksum(row: Omit<HistoryRow, 'crc'>): number {
  const head = crc32(`${row.key}\0${row.revision}\0${row.created}\0${row.version}\0${row.lease ?? ''}\0`);
  return row.value === null || row.value.length === 0 ? head : crc32(row.value, head);
}

/** Throws `unavailable` when the row is not what was written. */
export function checkRow(row: HistoryRow, file: string): void {
  if (rowChecksum(row) !== row.crc) throw corruptStore(file, `the value of ${JSON.stringify(row.key)} is not what was written`);
}

export function storedValue(row: HistoryRow, file: string): StoredValue {
  checkRow(row, file);
  return asValue(row);
}

export function asValue(row: Omit<HistoryRow, 'crc'>): StoredValue {
  return {
    key: row.key, value: row.value ?? new Uint8Array(0), createRevision: row.created, modRevision: row.revision,
    version: row.version, ...(row.lease === null ? {} : { lease: row.lease }),
  };
}

export function storeEvent(row: HistoryRow, file: string): StoreEvent {
  if (row.version > 0) return { type: 'put', value: storedValue(row, file) };
  checkRow(row, file);
  return { type: 'delete', key: row.key, modRevision: row.revision };
}
