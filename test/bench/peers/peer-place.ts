/**
 * Where the peers are installed: this host, or a place that PEERS_ENTER leads to (the words of a command that runs its
 * arguments there) and all of whose processes descend from PEERS_PID.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';

const ENTER = (process.env['PEERS_ENTER'] ?? '').split(' ').filter((word) => word !== '');
const FIRST_PID = Number(process.env['PEERS_PID'] ?? 1);
const PATIENCE_MS = 120_000;

/** Runs a program where the peers are; what it printed. `input` is a file. Throws unless it ends with 0. */
export function there(argv: readonly string[], input?: string): Promise<string> {
  const [program, ...args] = [...ENTER, ...argv];
  const stdin = input === undefined ? 'ignore' : fs.openSync(input, 'r');
  const child = spawn(program!, args, { stdio: [stdin, 'pipe', 'pipe'], timeout: PATIENCE_MS, killSignal: 'SIGKILL' });
  if (typeof stdin === 'number') fs.closeSync(stdin);
  let text = '', said = '';
  child.stdout!.setEncoding('utf8').on('data', (part: string) => { text += part; });
  child.stderr!.setEncoding('utf8').on('data', (part: string) => { said += part; });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // What a peer leaves in the background may keep the pipes: its own end counts.
    child.once('exit', (code) => {
      child.stdout!.destroy();
      child.stderr!.destroy();
      if (code === 0) resolve(text);
      else reject(new Error(`${argv.join(' ')} ended with ${code}: ${said.trim().split('\n').at(-1)}`));
    });
  });
}

function status(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return ''; // it ended meanwhile
  }
}

const number = (text: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);

function pids(): readonly number[] {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
}

function belongs(pid: number): boolean {
  return pid === FIRST_PID || (pid > 1 && belongs(number(status(pid), 'PPid')));
}

/** Finds the first process of a container that is started from now on, as this host numbers it; asks about each process once. */
export function watchForFirstProcess(): () => number | undefined {
  const seen = new Set(pids());
  const found: number[] = [];
  return () => {
    for (const pid of pids()) {
      if (seen.has(pid)) continue;
      seen.add(pid);
      const ids = /^NSpid:\s+(.*)$/m.exec(status(pid))?.[1]?.split('\t') ?? [];
      if (ids.length > 1 && ids.at(-1) === '1') found.push(pid);
    }
    return found.find((pid) => fs.existsSync(`/proc/${pid}/root/run/systemd/private`) && belongs(pid));
  };
}

/** PSS of everything there: of the containers, and of what runs for them. */
export function memoryThere(): number {
  return pids().filter(belongs).reduce((sum, pid) => {
    try {
      return sum + number(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'), 'Pss') * 1024;
    } catch {
      return sum; // it ended meanwhile, or is the kernel's
    }
  }, 0);
}
