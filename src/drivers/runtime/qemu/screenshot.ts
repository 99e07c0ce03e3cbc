/**
 * What a machine shows on its screen. QEMU writes it into a file in memory that it is handed for this one picture: its jail
 * needs no place to write, and what comes is bounded and read as what it is, three bytes a dot.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { BerthError } from '../../../model/errors.ts';
import { encodePng, parsePpm } from '../../../lib/png.ts';
import { anonymousFile, closeDescriptor } from '../../../host/libc.ts';
import { qmpTalk } from './qmp.ts';

const MAX_BYTES = 64 * 1024 * 1024;

export async function screenshot(qmpSocket: string): Promise<Uint8Array> {
  const file = anonymousFile(new Uint8Array());
  try {
    await qmpTalk(qmpSocket, async (ask) => {
      // A descriptor of its own, for writing alone: QEMU compares how it was opened.
      const writable = fs.openSync(`/proc/self/fd/${file}`, fs.constants.O_WRONLY);
      const set = await ask('add-fd', {}, writable).finally(() => { fs.closeSync(writable); }) as { readonly 'fdset-id'?: unknown } | undefined;
      const id = set?.['fdset-id'];
      if (typeof id !== 'number' || !Number.isSafeInteger(id)) throw new BerthError('unavailable', 'QEMU took no file for its picture.');
      await ask('screendump', { filename: `/dev/fdset/${id}` }).finally(() => ask('remove-fd', { 'fdset-id': id }));
    });
    const { size } = fs.fstatSync(file);
    if (size > MAX_BYTES) throw new BerthError('unavailable', `The screen of the machine is larger than ${MAX_BYTES / 1024 / 1024} MiB.`);
    const data = Buffer.alloc(size);
    // It may have become shorter meanwhile: QEMU could be in its guest's hands.
    const { bytesRead } = await promisify(fs.read)(file, data, 0, size, 0);
    const picture = bytesRead === size ? parsePpm(data) : undefined;
    if (picture === undefined) throw new BerthError('unavailable', 'The machine has no picture on its screen.', { hint: 'Try again in a moment.' });
    return await encodePng(picture);
  } finally {
    // While a machine stands still QEMU keeps what it was handed: then it keeps nothing.
    fs.ftruncateSync(file);
    closeDescriptor(file);
  }
}
