/** The guest's agent as a program of the host, under the sanitizers, over damaged frames (test/fixtures/agent-fuzz.c). */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const HOME = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

export interface FuzzEnd {
  readonly code: number;
  /** What it counted, as JSON; nothing when it did not come to its end. */
  readonly stdout: string;
  readonly stderr: string;
}

export class AgentHarness implements Disposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** `defines`: guards to leave out. */
  static async build(...defines: readonly string[]): Promise<AgentHarness> {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-agent-fuzz-'));
    fs.chmodSync(dir, 0o755);
    const harness = new AgentHarness(dir);
    try {
      await run('gcc', [
        '-std=gnu17', '-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-D_GNU_SOURCE', ...defines.map((one) => `-D${one}`), '-w',
        // The jobs that the same program has inside an image are named and never called.
        '-Wl,--unresolved-symbols=ignore-all', '-o', path.join(dir, 'agent-fuzz'), path.join(HOME, 'test/fixtures/agent-fuzz.c'), path.join(HOME, 'native/agent/wire.c'),
      ], { timeout: 120_000 });
      return harness;
    } catch (error) {
      harness[Symbol.dispose]();
      throw error;
    }
  }

  /** As nobody: a mistake in the harness must not power this host off. */
  async run(rounds: number, seed: number, timeoutMs: number): Promise<FuzzEnd> {
    const args = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--no-new-privs', path.join(this.#dir, 'agent-fuzz'), String(rounds), String(seed)];
    try {
      const { stdout, stderr } = await run('setpriv', args, { timeout: timeoutMs, killSignal: 'SIGKILL', env: { ASAN_OPTIONS: 'detect_leaks=0', PATH: '/usr/bin:/bin' }, maxBuffer: 1 << 20 });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout = '', stderr = '' } = error as { readonly code?: number | string; readonly stdout?: string; readonly stderr?: string };
      return { code: typeof code === 'number' ? code : 137, stdout, stderr };
    }
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.#dir, { recursive: true });
  }
}
