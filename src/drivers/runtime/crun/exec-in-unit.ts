/**
 * One more process in a running container: joins its control groups, then `crun exec`. Identity, rights and command go in
 * a file (process.json), never as crun's options. crun stays as the parent outside and ends with the process's exit code.
 */
import fs from 'node:fs';
import path from 'node:path';
import { spawnStreamed } from '../../../host/child-streams.ts';
import { openConsoleSocket, type ConsoleSocket } from '../../../host/console-socket.ts';
import { monitorIdentity } from '../../../host/monitor.ts';
import { inMountNamespaceOf, inNewMountNamespace } from '../../../host/mounts.ts';
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { ExecPlan, ExecSession } from '../driver.ts';
import type { CrunHost } from './crun-host.ts';
import { ExecConversation } from './exec-conversation.ts';
import { observeUnit } from './observe-unit.ts';
import { makeCrunMounts } from './root-mounts.ts';
import { joinArguments } from './join-arguments.ts';

let sequence = 0;

export async function execInUnit(host: CrunHost, id: ObjectId, plan: ExecPlan): Promise<ExecSession> {
  const seen = await observeUnit(host, id);
  const record = host.record(id);
  if (record === undefined || seen.state === 'absent' || seen.state === 'exited' || seen.state === 'created') throw new BerthError('wrongState', 'Nothing runs to execute a command in.');
  // Joining a frozen group freezes the one who joins.
  if (seen.state === 'paused' || host.groups.frozen(id)) throw new BerthError('wrongState', 'It is paused.', { hint: 'Resume it first.' });
  const unit = host.paths.unit(id);
  const base = path.join(unit.dir, `exec-${process.pid}-${sequence++}`);
  const files = { process: `${base}.json`, pid: `${base}.pid`, log: `${base}.log`, console: `${base}.sock` };
  const clear = (): void => { for (const file of Object.values(files)) fs.rmSync(file, { force: true }); };
  let console_: ConsoleSocket | undefined;
  try {
    fs.writeFileSync(files.process, JSON.stringify(host.guards.execProcess(plan, record.idCount)), { mode: 0o600 });
    if (plan.terminal) console_ = await openConsoleSocket(files.console);
    const child = spawnStreamed(host.options.nativeProgram, [
      ...joinArguments(host, id, { owner: record.idBase, form: record.form, first: false }), `--log=${files.log}`,
      'exec', '--process', files.process, '--pid-file', files.pid, ...(console_ === undefined ? [] : ['--console-socket', files.console]), id,
    ], { stdin: plan.stdin && !plan.terminal, around: (fork) => besideCrun(host, id, record.form === 'osContainer', fork) });
    return new ExecConversation({ child, console: console_, pidFile: files.pid, logFile: files.log, size: plan.size, room: () => host.groups.room(id), ended: clear });
  } catch (error) {
    console_?.[Symbol.dispose]();
    clear();
    throw error;
  }
}

/** Where crun lies read-only and sees one cgroup version: the monitor's namespace, or one like it where that is gone. */
function besideCrun<T>(host: CrunHost, id: ObjectId, delegated: boolean, fork: () => T): T {
  const monitor = monitorIdentity(host.paths.unit(id).dir);
  if (monitor !== undefined) {
    try {
      return inMountNamespaceOf(monitor.pid, fork);
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return inNewMountNamespace(() => {
    makeCrunMounts({ scratch: host.paths.scratch, hide: host.groups.hide, delegated, crun: host.crun, guards: host.guards });
    return fork();
  });
}
