/** Which processes hold a listening unix socket, and what every process was started with: read from /proc. */
import fs from 'node:fs';
import { identify, type ProcessIdentity } from './process.ts';

export interface RunningProgram {
  readonly process: ProcessIdentity;
  readonly parentPid: number;
  /** argv; empty for kernel threads and zombies. */
  readonly args: readonly string[];
}

/** Everything that runs in this pid namespace and is visible; processes that end meanwhile are left out. */
export function runningPrograms(): readonly RunningProgram[] {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    const process = identify(Number(name));
    if (process === undefined) return [];
    try {
      const args = fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      args.pop();
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'latin1');
      return [{ process, parentPid: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]), args }];
    } catch {
      return [];
    }
  });
}

/** Holders of a socket that listens at `socketPath`, in this network namespace. Needs root for processes of others. */
export function listenersOf(socketPath: string): readonly ProcessIdentity[] {
  const inodes = listeningInodes(fs.readFileSync('/proc/net/unix', 'latin1'), socketPath);
  if (inodes.size === 0) return [];
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    const identity = identify(Number(name));
    return identity !== undefined && holdsOneOf(name, inodes) ? [identity] : [];
  });
}

const ACCEPTS_CONNECTIONS = 0x10000;

/** Lines of /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path. */
export function listeningInodes(table: string, socketPath: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields.slice(7).join(' ') === socketPath && (Number.parseInt(fields[3]!, 16) & ACCEPTS_CONNECTIONS) !== 0) found.add(fields[6]!);
  }
  return found;
}

function holdsOneOf(pid: string, inodes: ReadonlySet<string>): boolean {
  let descriptors: string[];
  try {
    descriptors = fs.readdirSync(`/proc/${pid}/fd`);
  } catch {
    return false;
  }
  return descriptors.some((fd) => {
    try {
      const target = /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`));
      return target !== null && inodes.has(target[1]!);
    } catch {
      return false;
    }
  });
}
