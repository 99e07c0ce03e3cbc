/** Where bytes of the daemon go: to the output, or to a file that is there whole or not at all: written beside its place, then renamed. */
import type { FileHandle } from 'node:fs/promises';
import type { HttpResponse } from '../client/http-exchange.ts';
import { BerthError } from '../model/errors.ts';
import type { Context } from './command.ts';
import { fileError } from './input-file.ts';

/**
 * The bytes of an answer to `file`, or to the output for `-`. `what` names them (“An archive”) where that is a terminal,
 * which is refused before anything is asked.
 */
export async function writeAnswer({ stdio }: Context, file: string, what: string, ask: () => Promise<HttpResponse>): Promise<void> {
  if (file === '-' && (await stdio.isTerminal(1))) throw new BerthError('invalid', `${what} is not written to a terminal.`, { hint: 'Name a file, or send the output somewhere.' });
  const response = await ask();
  try {
    if (file === '-') for (let chunk = await response.read(); chunk !== undefined; chunk = await response.read()) await stdio.out(chunk);
    else await writeFileWhole(file, response);
  } finally {
    response.connection.close();
  }
}

/** What is no file (/dev/stdout, a pipe) is written to as it is: a rename would put a file in its place. What a link leads to is replaced, and not the link. */
export async function writeFileWhole(path: string, source: Pick<HttpResponse, 'read'>): Promise<void> {
  const fs = await import('node:fs');
  let temporary: string | undefined;
  try {
    const there = await fs.promises.stat(path).catch(() => undefined);
    if (there !== undefined && !there.isFile()) return await writeAndClose(await fs.promises.open(path, fs.constants.O_WRONLY), source);
    const place = there === undefined ? path : await fs.promises.realpath(path);
    const beside = `${place}.${process.pid}.part`;
    const file = await fs.promises.open(beside, 'wx', 0o644);
    temporary = beside;
    await writeAndClose(file, source, () => file.sync());
    await fs.promises.rename(beside, place);
  } catch (error) {
    if (temporary !== undefined) await fs.promises.rm(temporary, { force: true });
    throw fileError(error, path, 'written');
  }
}

async function writeAndClose(file: FileHandle, source: Pick<HttpResponse, 'read'>, atEnd?: () => Promise<void>): Promise<void> {
  try {
    for (let chunk = await source.read(); chunk !== undefined; chunk = await source.read()) await writeAll(file, chunk);
    await atEnd?.();
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
}
