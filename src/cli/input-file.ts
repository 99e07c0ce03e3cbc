/** Files that the user names on the command line; `-` is standard input. */
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { Stdio } from './stdio.ts';

const MAX_TEXT_BYTES = 16 * 1024 * 1024;

export async function readTextFile(path: string, stdio: Stdio): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of inputBytes(path, stdio)) {
    length += chunk.length;
    if (length > MAX_TEXT_BYTES) throw new BerthError('invalid', `'${printable(path)}' is larger than ${MAX_TEXT_BYTES / 1024 / 1024} MiB.`);
    parts.push(chunk.slice());
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts, length));
  } catch {
    throw new BerthError('invalid', `'${printable(path)}' is not UTF-8 text.`);
  }
}

export async function* inputBytes(path: string, stdio: Stdio): AsyncGenerator<Uint8Array> {
  if (path === '-') {
    yield* stdio.input();
    return;
  }
  const { createReadStream } = await import('node:fs');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) yield chunk as Uint8Array;
  } catch (error) {
    throw fileError(error, path, 'read');
  }
}

export function fileError(error: unknown, path: string, doing: 'read' | 'written'): unknown {
  const reason = { ENOENT: doing === 'read' ? 'there is no such file' : 'there is no such directory', EACCES: 'you may not', EISDIR: 'it is a directory', ENOSPC: 'the disk is full', EEXIST: 'it is there already' }[(error as { code?: string }).code ?? ''];
  if (reason === undefined) return error;
  return new BerthError('invalid', `'${printable(path)}' cannot be ${doing}: ${reason}.`, { cause: error });
}
