/** For tests that decide which process gets which pid: the test file runs again in a pid namespace of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { until } from './until.ts';

const MARK = 'BERTH_TEST_OWN_PIDS';

/** Call it first thing in a test file. The process becomes `unshare …`, which ends when the test does. */
export function enterOwnPidNamespace(): void {
  if (process.env[MARK] === undefined) {
    const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined));
    // A shell that waits is an init that reaps: what is orphaned here leaves its pid to others.
    process.execve!('/usr/bin/unshare', ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', '"$@" & wait $!', 'sh', process.execPath, ...process.execArgv, ...process.argv.slice(1)], { ...env, [MARK]: '1' });
  }
  if (fs.readlinkSync('/proc/self') === '1' || fs.readFileSync('/proc/1/comm', 'latin1') !== 'sh\n') throw new Error('not in a pid namespace of its own');
}

/** A stranger under a pid that was another's. */
export function reusePid(pid: number): Promise<ChildProcess> {
  return until(() => {
    if (fs.existsSync(`/proc/${pid}`)) return undefined; // its owner is not reaped yet
    fs.writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    if (child.pid === pid) return child;
    child.kill('SIGKILL');
    return undefined;
  }, { deadlineMs: 20_000, what: `a process with pid ${pid}` });
}
