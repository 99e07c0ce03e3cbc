/**
 * Finds acknowledged commits that a damaged write-ahead log would lose. SQLite ends its recovery silently at the first
 * frame whose checksum is wrong (https://sqlite.org/walformat.html). After a power loss that frame belongs to the last,
 * unfinished commit, because a commit is on the disk before the next one is written: so when two commits stand at or
 * behind the bad frame, the first of them had been acknowledged.
 */

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE = 0x377f0682;
const MAGIC_BIG = 0x377f0683;

/** A sentence's end that says what is wrong, or undefined when nothing acknowledged can be missing. */
export function walDamage(wal: Buffer): string | undefined {
  if (wal.length === 0) return undefined;
  if (wal.length < HEADER_BYTES) return 'its write-ahead log is cut off';
  const magic = wal.readUInt32BE(0);
  if (magic !== MAGIC_LITTLE && magic !== MAGIC_BIG) return 'its write-ahead log has no valid header';
  const sum = checksummer(magic === MAGIC_BIG);
  sum.add(wal.subarray(0, 24));
  if (!sum.equals(wal, 24)) return 'the header of its write-ahead log has a wrong checksum';
  const pageBytes = wal.readUInt32BE(8);
  if (pageBytes < 512 || pageBytes > 65_536) return 'its write-ahead log has no valid header';
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  let good = true;
  let commitsLost = 0;
  for (let at = HEADER_BYTES; at + frameBytes <= wal.length; at += frameBytes) {
    // Frames with other salts are left over from an earlier round, which was checkpointed.
    const current = wal.compare(wal, 16, 24, at + 8, at + 16) === 0;
    if (good) {
      sum.add(wal.subarray(at, at + 8));
      sum.add(wal.subarray(at + FRAME_HEADER_BYTES, at + frameBytes));
      good = current && sum.equals(wal, at + 16);
    }
    if (!good && current && wal.readUInt32BE(at + 4) !== 0) commitsLost++;
  }
  return commitsLost >= 2 ? `its write-ahead log is damaged, and at least ${commitsLost - 1} commits lie behind the damage` : undefined;
}

function checksummer(bigEndian: boolean): { add(data: Buffer): void; equals(at: Buffer, offset: number): boolean } {
  let a = 0;
  let b = 0;
  return {
    add(data) {
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      for (let i = 0; i < data.length; i += 8) {
        a = (a + view.getUint32(i, !bigEndian) + b) >>> 0;
        b = (b + view.getUint32(i + 4, !bigEndian) + a) >>> 0;
      }
    },
    equals: (at, offset) => at.readUInt32BE(offset) === a && at.readUInt32BE(offset + 4) === b,
  };
}
