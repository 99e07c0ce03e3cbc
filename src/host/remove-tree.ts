/**
 * Removes a directory and all below it, however deep: a tenant can nest directories beyond what a path may name
 * (PATH_MAX), and Node's own removal works by paths. rm(1) works by descriptors; it follows no links and crosses no mounts.
 */
import path from 'node:path';
import { BerthError } from '../model/errors.ts';
import { run } from './run.ts';

const TIMEOUT_MS = 600_000;

export async function removeTree(dir: string): Promise<void> {
  if (!path.isAbsolute(dir) || path.normalize(dir) !== dir || dir === '/') throw new BerthError('internal', `'${dir}' is not a path whose tree may be removed.`);
  await run('/bin/rm', ['-rf', '--one-file-system', '--', dir], { timeoutMs: TIMEOUT_MS });
}
