/**
 * How far writers were told that their data is safe, in a small file beside the store. SQLite takes a write-ahead log
 * that was cut for one that ends there; this file knows better. It is written after each commit and never synced: what
 * ends the process leaves it right, what ends the machine leaves it right or behind, and it is never ahead of the store.
 */
import fs from 'node:fs';
import { crc32 } from 'node:zlib';

export interface Acknowledged extends Disposable {
  note(revision: number): void;
}

export function acknowledgedName(file: string): string {
  return `${file}.acknowledged`;
}

/** The newest revision that some writer was told of; 0 when the file is not there or not readable. */
export function readAcknowledged(file: string): number {
  let text: string;
  try {
    text = fs.readFileSync(acknowledgedName(file), 'latin1').slice(0, 64);
  } catch {
    return 0;
  }
  const revision = Number(text.slice(0, 16));
  return text === record(revision) && Number.isSafeInteger(revision) ? revision : 0;
}

export function openAcknowledged(file: string): Acknowledged {
  const fd = fs.openSync(acknowledgedName(file), fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o600);
  return {
    note(revision) {
      try {
        fs.writeSync(fd, record(revision), 0, 'latin1');
      } catch {
        // On a full disk it stays behind, which is no harm.
      }
    },
    [Symbol.dispose]: () => fs.closeSync(fd),
  };
}

function record(revision: number): string {
  const digits = String(revision).padStart(16, '0');
  return `${digits} ${crc32(digits).toString(16).padStart(8, '0')}\n`;
}
