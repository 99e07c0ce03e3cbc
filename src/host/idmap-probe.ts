/** Does the file system below a directory take idmapped mounts? Tried with a detached mount that nobody else ever sees. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { closeDescriptor, idmappedClone, openDescriptor } from './libc.ts';

const PROBE_BASE_ID = 0x4000_0000;
const NAMESPACE_TIMEOUT_MS = 5000;

/** @returns the reason why not, or undefined when it works. Needs root. */
export async function probeIdmappedMount(dir: string): Promise<string | undefined> {
  const holder = spawn('unshare', ['--user', 'cat'], { stdio: ['pipe', 'ignore', 'ignore'], env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  const ended = once(holder, 'exit').catch((error: unknown) => [error]);
  try {
    if (holder.pid === undefined) return 'unshare is not installed';
    if (!(await inOwnNamespace(holder.pid))) return 'no user namespace could be made';
    for (const file of ['uid_map', 'gid_map']) fs.writeFileSync(`/proc/${holder.pid}/${file}`, `0 ${PROBE_BASE_ID} 65536`);
    const namespace = openDescriptor(`/proc/${holder.pid}/ns/user`, fs.constants.O_RDONLY);
    try {
      closeDescriptor(idmappedClone(dir, namespace));
      return undefined;
    } finally {
      closeDescriptor(namespace);
    }
  } catch (error) {
    return (error as Error).message;
  } finally {
    holder.stdin.on('error', () => undefined);
    holder.kill('SIGKILL');
    await ended;
  }
}

/** The child is ours from the start, its namespace only after unshare(2). */
async function inOwnNamespace(pid: number): Promise<boolean> {
  const own = fs.readlinkSync('/proc/self/ns/user');
  const end = performance.now() + NAMESPACE_TIMEOUT_MS;
  while (performance.now() < end) {
    try {
      if (fs.readlinkSync(`/proc/${pid}/ns/user`) !== own) return true;
    } catch {
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return false;
}
