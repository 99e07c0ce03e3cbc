/** A file that is there whole or not at all: written beside its place, then renamed. */
import type { FileHandle } from 'node:fs/promises';
import type { HttpResponse } from '../client/http-exchange.ts';
import { fileError } from './input-file.ts';

export async function writeFileWhole(path: string, source: Pick<HttpResponse, 'read'>): Promise<void> {
  const fs = await import('node:fs');
  const temporary = `${path}.${process.pid}.part`;
  try {
    const file = await fs.promises.open(temporary, 'wx', 0o644);
    try {
      for (let chunk = await source.read(); chunk !== undefined; chunk = await source.read()) await writeAll(file, chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.promises.rename(temporary, path);
  } catch (error) {
    await fs.promises.rm(temporary, { force: true });
    throw fileError(error, path, 'written');
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
}
