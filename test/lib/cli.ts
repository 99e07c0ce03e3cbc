/** Runs the real `berth` against a test daemon, as a user would. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import type { TestDaemon } from './daemon.ts';

const LAUNCHER = path.resolve(import.meta.dirname, '../../berth');

export interface CliResult {
  /** 128 + signal when one ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly input?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly timeoutMs?: number | undefined;
}

export function berth(daemon: TestDaemon, args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(LAUNCHER, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', HOME: '/root', BERTH_HOST: `unix:${daemon.socketPath}`, ...options.env } });
    let stdout = '', stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text; });
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
    const timer = setTimeout(() => { child.kill('SIGKILL'); reject(new Error(`berth ${args.join(' ')} did not end\n${stdout}\n${stderr}`)); }, options.timeoutMs ?? 60_000);
    child.on('error', reject);
    child.on('close', (code) => { clearTimeout(timer); resolve({ code: code ?? 255, stdout, stderr }); });
    child.stdin.on('error', () => undefined); // it may end before it read everything
    child.stdin.end(options.input ?? '');
  });
}
