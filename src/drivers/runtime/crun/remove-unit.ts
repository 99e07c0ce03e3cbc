/** Ends what lives of a unit and takes away all that was made for it; in every state, also half made, also twice. */
import fs from 'node:fs';
import { removeDirectory } from '../../../host/files.ts';
import { dropParkedInput } from '../../../host/monitor-attach.ts';
import { lostMonitor, monitorIdentity } from '../../../host/monitor.ts';
import { identify, isAlive, signalProcess } from '../../../host/process.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { CrunHost } from './crun-host.ts';
import type { RemoveOptions } from '../driver.ts';
import { readStatus } from './crun-status.ts';
import { exitRecord } from './observe-unit.ts';

/** Between two looks at whether the killed are gone: doubled up to the second number. */
const FIRST_WAIT_MS = 1, LAST_WAIT_MS = 20;
const DEADLINE_MS = 10_000;

export async function removeUnit(host: CrunHost, id: ObjectId, { keepLog, keepExit = false }: RemoveOptions): Promise<void> {
  const { groups, paths } = host;
  const unit = paths.unit(id);
  // The monitor first, when the container was not made to its end: it would start what is being taken away.
  // Without a record of the end there is one to look for: it would go on writing into what is being taken away.
  const monitor = monitorIdentity(unit.dir) ?? (fs.existsSync(unit.dir) && host.exits.read(id) === undefined ? await lostMonitor(unit.dir) : undefined);
  const process = readStatus(unit.state);
  if (monitor !== undefined && process === undefined) signalProcess(monitor, 'SIGKILL');
  const known = keepExit ? exitRecord(host, id) : undefined; // while the control group still tells why
  const end = performance.now() + DEADLINE_MS;
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LAST_WAIT_MS, wait * 2)) {
    if (process !== undefined) signalProcess(process, 'SIGKILL');
    groups.kill(id);
    const monitored = monitor !== undefined && isAlive(monitor);
    if (!monitored && groups.remove(id)) break;
    if (performance.now() > end) {
      // What hangs in the kernel (a dead network file system) cannot be ended by anyone; a monitor without a child can.
      if (monitored && groups.pids(id).length === 0) signalProcess(monitor, 'SIGKILL');
      throw new BerthError('timeout', `Processes of ${id} did not end within ${DEADLINE_MS / 1000} s of being killed.`, { details: { pids: groups.pids(id).filter((pid) => identify(pid) !== undefined) } });
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  dropParkedInput(unit.dir);
  host.forget(id);
  const exit = keepExit ? (known ?? exitRecord(host, id)) : undefined;
  if (exit?.exitCode === undefined) host.exits.forget(id);
  else host.exits.keep(id, { ...exit, exitCode: exit.exitCode });
  await removeDirectory(unit.state);
  await removeDirectory(unit.dir);
  if (!keepLog) await fs.promises.rm(unit.logDir, { recursive: true, force: true });
}
