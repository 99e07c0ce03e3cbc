/** Programs that outlive this one: a session of their own, no descriptor of ours, nobody waits for them. */
import { spawn } from 'node:child_process';
import { PLAIN_ENV } from './run.ts';

/** @returns the pid. Its standard streams are /dev/null. */
export function startInBackground(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: '/', detached: true, stdio: 'ignore', env: { ...PLAIN_ENV, ...env } });
    child.once('error', reject);
    child.once('spawn', () => {
      child.unref();
      resolve(child.pid!);
    });
  });
}
