/** The native programs, built when their sources changed since the last time. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';

export async function builtNativeProgram(): Promise<string> {
  await promisify(execFile)('sh', [path.resolve(import.meta.dirname, '../../native/build.sh'), path.dirname(NATIVE_PROGRAM)]);
  return NATIVE_PROGRAM;
}
