/** Is a waiting container's working directory one of its own? A leaked descriptor's is not (CVE-2024-21626). */
import fs from 'node:fs';
import { closeDescriptor, openDescriptor } from '../../../host/libc.ts';
import { BerthError } from '../../../model/errors.ts';

const O_PATH = 0o10000000;

/** Errors: `invalid` when the directory lies on a mount that is not in the process's own namespace. proc_pid_fdinfo(5). */
export function assertOwnDirectory(pid: number): void {
  const fd = openDescriptor(`/proc/${pid}/cwd`, O_PATH | fs.constants.O_DIRECTORY);
  try {
    const mount = /^mnt_id:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    const own = fs.readFileSync(`/proc/${pid}/mountinfo`, 'latin1').split('\n').some((line) => line.slice(0, line.indexOf(' ')) === mount);
    if (!own) throw new BerthError('invalid', 'The working directory leads out of the container.', { hint: 'It is a link to somewhere below /proc.' });
  } finally {
    closeDescriptor(fd);
  }
}
