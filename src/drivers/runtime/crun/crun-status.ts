/** crun's own record of a container: the pid of its first process and when that started. */
import fs from 'node:fs';
import path from 'node:path';
import type { ProcessIdentity } from '../driver.ts';

/** undefined when crun has not written it: the container was not made to its end. */
export function readStatus(stateDir: string): ProcessIdentity | undefined {
  try {
    const status = JSON.parse(fs.readFileSync(path.join(stateDir, 'status'), 'utf8')) as { pid?: unknown; 'process-start-time'?: unknown };
    const { pid, 'process-start-time': startTicks } = status;
    return Number.isInteger(pid) && Number.isInteger(startTicks) ? { pid: pid as number, startTicks: startTicks as number } : undefined;
  } catch {
    return undefined;
  }
}
