/** What this process may hand on: its own hard limits, by the names of the OCI specification. */
import fs from 'node:fs';
import type { Ceilings } from './oci-spec.ts';

/** First words of the lines in /proc/self/limits: proc_pid_limits(5). */
const NAMES: Readonly<Record<string, string>> = {
  'Max address space': 'RLIMIT_AS', 'Max core file size': 'RLIMIT_CORE', 'Max cpu time': 'RLIMIT_CPU', 'Max data size': 'RLIMIT_DATA',
  'Max file size': 'RLIMIT_FSIZE', 'Max file locks': 'RLIMIT_LOCKS', 'Max locked memory': 'RLIMIT_MEMLOCK', 'Max msgqueue size': 'RLIMIT_MSGQUEUE',
  'Max nice priority': 'RLIMIT_NICE', 'Max open files': 'RLIMIT_NOFILE', 'Max processes': 'RLIMIT_NPROC', 'Max resident set': 'RLIMIT_RSS',
  'Max realtime priority': 'RLIMIT_RTPRIO', 'Max realtime timeout': 'RLIMIT_RTTIME', 'Max pending signals': 'RLIMIT_SIGPENDING', 'Max stack size': 'RLIMIT_STACK',
};

export function readCeilings(): Ceilings {
  const rlimits = new Map<string, number>();
  for (const line of fs.readFileSync('/proc/self/limits', 'utf8').split('\n')) {
    const name = NAMES[line.slice(0, 25).trim()];
    const hard = line.slice(25).trim().split(/\s+/)[1];
    // 2^63-1 is what the kernel calls unlimited; JSON cannot carry it exactly, and nothing has that much.
    if (name !== undefined && hard !== undefined) rlimits.set(name, hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard));
  }
  return { rlimits, oomScoreAdj: Math.max(0, Number(fs.readFileSync('/proc/self/oom_score_adj', 'latin1'))) };
}
