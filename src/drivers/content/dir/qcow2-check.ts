/** A qcow2 file is read by us before any program is started on it: what leads out of it, or is beyond its bounds, is refused. */
import type { FileHandle } from 'node:fs/promises';
import { l1Refusal, QCOW2_HEAD_BYTES, readQcow2Header, type Qcow2Refusal } from '../../../lib/qcow2-header.ts';
import { BerthError } from '../../../model/errors.ts';

const PIECE_BYTES = 1024 * 1024;

/** Size of its disk in bytes. @throws invalid with the rule that it broke. */
export type Qcow2Check = (file: FileHandle, maxVirtualBytes: number) => Promise<number>;

export const checkQcow2: Qcow2Check = async (file, maxVirtualBytes) => {
  const { size } = await file.stat();
  const head = Buffer.alloc(Math.min(QCOW2_HEAD_BYTES, size));
  await file.read(head, 0, head.length, 0);
  const reading = readQcow2Header(head, size, { maxVirtualBytes });
  if ('refused' in reading) throw refusal(reading.refused);
  const { header } = reading;
  const end = header.l1Offset + header.l1Entries * 8;
  for (let at = header.l1Offset; at < end; at += PIECE_BYTES) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, end - at));
    await file.read(piece, 0, piece.length, at);
    const refused = l1Refusal(piece, header, size);
    if (refused !== undefined) throw refusal(refused);
  }
  return header.virtualBytes;
};

const HINTS: Readonly<Record<string, string>> = {
  magic: 'Say what it is: --disk raw, --disk qcow2 or --disk iso. Other formats are converted beforehand: qemu-img convert -O raw FILE disk.raw',
  backingFile: 'Make one file of the chain where it comes from: qemu-img convert -O qcow2 FILE whole.qcow2',
  snapshots: 'Make a disk of one state of it: qemu-img convert -O qcow2 FILE whole.qcow2',
};
const REPAIR = 'Write it anew where it comes from, by a qemu-img that you trust with it: qemu-img convert -O raw FILE disk.raw, then --disk raw.';

function refusal({ rule, reason }: Qcow2Refusal): BerthError {
  return new BerthError('invalid', `The qcow2 file is refused: ${reason}.`, { hint: HINTS[rule] ?? REPAIR, details: { rule } });
}
