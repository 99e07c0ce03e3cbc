/**
 * A real daemon for tests: its own root, run and lease directories, in a network namespace of its own, ended at the end
 * with everything that it made. `restart` and `kill` are what the crash tests are about.
 */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { prepareGuestKernel } from '../../src/host/guest-kernel.ts';
import { identify, signalProcess } from '../../src/host/process.ts';
import { until } from './until.ts';

const HERE = import.meta.dirname;
const READY_DEADLINE_MS = 60_000;
const KERNEL_DIR = path.resolve(HERE, '../../.build/kernels');

export interface Answer {
  readonly status: number;
  readonly body: any; // eslint-disable-line -- tests look into answers of every shape
  readonly headers: http.IncomingHttpHeaders;
}

export interface TestDaemonOptions {
  /** `verb/step/moment`: the daemon kills itself (SIGKILL) there. Moments: before, after, undo. */
  readonly killAt?: string | undefined;
  /** `verb/step/moment/ERRNO`: that step fails, every time. */
  readonly failAt?: string | undefined;
  /** Microvms will be run: the guest kernel is fetched before, once for all tests. */
  readonly vms?: boolean | undefined;
  /** The guest kernels that it knows, instead of the one that apt knows; made before. */
  readonly kernelDir?: string | undefined;
  /** Added to the daemon's environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** In the same network namespace and with the same leases as this one, which must outlive it. */
  readonly beside?: TestDaemon | undefined;
  /** Before the first start, with the root's directory, which is there; what it returns is called at the very end. */
  readonly prepareRoot?: ((rootDir: string) => Promise<() => Promise<void>>) | undefined;
}

/** Names a bundle that was made elsewhere, for machines on which Bun does not run. */
export const BUNDLE_VARIABLE = 'BERTH_TEST_DAEMON';
let bundled = process.env[BUNDLE_VARIABLE];

/** The test daemon as one file, made once for each test process: it starts three times as fast as from its sources. */
export function daemonProgram(): string {
  if (bundled !== undefined) return bundled;
  const source = path.join(HERE, 'daemon-main.ts');
  const home = path.resolve(HERE, '../..');
  const out = path.join(home, '.build', `test-daemon-${process.pid}.mjs`);
  const built = spawnSync(path.join(home, 'node_modules/@oven/bun-linux-x64/bin/bun'), ['build', source, '--target=node', `--outfile=${out}`, '--external=koffi'], { cwd: home, stdio: 'ignore' });
  if (built.status !== 0) return (bundled = source);
  process.once('exit', () => rmSync(out, { force: true }));
  return (bundled = out);
}

/** Holds a network namespace; ends when its stdin does, whatever happens to this process. */
async function holdNamespace(): Promise<ChildProcess> {
  const holder = spawn('unshare', ['--net', '--', 'sh', '-c', 'ip link set lo up && echo up && exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => { holder.stdout!.once('data', resolve); holder.once('exit', reject); });
  return holder;
}

export class TestDaemon implements AsyncDisposable {
  readonly base: string;
  readonly rootDir: string;
  readonly runDir: string;
  readonly leaseDir: string;
  readonly socketPath: string;
  readonly #holder: ChildProcess;
  readonly #ownsHolder: boolean;
  readonly #kernelDir: string;
  #child: ChildProcess | undefined;
  #undoRoot: (() => Promise<void>) | undefined;
  /** What the daemon wrote to stderr. */
  log = '';

  private constructor(base: string, holder: ChildProcess, { beside, kernelDir }: TestDaemonOptions) {
    this.base = base;
    this.rootDir = path.join(base, 'root');
    this.runDir = path.join(base, 'run');
    this.leaseDir = beside?.leaseDir ?? path.join(base, 'leases');
    this.socketPath = path.join(this.runDir, 'berth.sock');
    this.#holder = holder;
    this.#ownsHolder = beside === undefined;
    this.#kernelDir = kernelDir ?? KERNEL_DIR;
  }

  static async start(options: TestDaemonOptions = {}): Promise<TestDaemon> {
    if (options.vms === true && options.kernelDir === undefined) await prepareGuestKernel(KERNEL_DIR);
    const base = await mkdtemp(path.join(os.tmpdir(), 'berth-test-'));
    await chmod(base, 0o711);
    const daemon = new TestDaemon(base, options.beside === undefined ? await holdNamespace() : options.beside.#holder, options);
    try {
      if (options.prepareRoot !== undefined) {
        await mkdir(daemon.rootDir);
        daemon.#undoRoot = await options.prepareRoot(daemon.rootDir);
      }
      await daemon.up(options);
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
    return daemon;
  }

  get namespacePid(): number {
    return this.#holder.pid!;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** argv prefix that runs a program in the daemon's network namespace. */
  get enter(): readonly string[] {
    return ['nsenter', `--net=/proc/${this.namespacePid}/ns/net`, '--'];
  }

  get #faultsFile(): string {
    return path.join(this.base, 'faults');
  }

  /** From the next step on; nothing given: no fault any more. */
  async faults({ killAt, failAt }: Pick<TestDaemonOptions, 'killAt' | 'failAt'> = {}): Promise<void> {
    const lines = [killAt === undefined ? [] : [`kill ${killAt}`], failAt === undefined ? [] : [`fail ${failAt}`]].flat();
    await writeFile(`${this.#faultsFile}.new`, lines.join('\n'));
    await rename(`${this.#faultsFile}.new`, this.#faultsFile);
  }

  /** Runs a program in the daemon's network namespace; what it printed. Throws unless it ends with 0. */
  async fromTheHost(argv: readonly string[], timeoutMs = 10_000): Promise<string> {
    const [program, ...rest] = this.enter;
    const { stdout } = await promisify(execFile)(program!, [...rest, ...argv], { encoding: 'utf8', timeout: timeoutMs, killSignal: 'SIGKILL' });
    return stdout;
  }

  async up(options: TestDaemonOptions = {}): Promise<void> {
    await this.faults(options);
    const [program, ...rest] = this.enter;
    // With what the launcher gives it, so that measured memory is that of an installed one.
    const child = spawn(program!, [...rest, process.execPath, '--max-semi-space-size=4', daemonProgram(), '--root', this.rootDir, '--run', this.runDir, '--leases', this.leaseDir, '--kernels', this.#kernelDir], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, MALLOC_ARENA_MAX: '2', BERTH_NATIVE_DIR: path.resolve(HERE, '../../.build/native'), BERTH_TEST_FAULTS: this.#faultsFile, ...options.env },
    });
    this.#child = child;
    const from = this.log.length;
    child.stderr!.setEncoding('utf8').on('data', (text: string) => { this.log += text; });
    const lines = createInterface({ input: child.stdout! });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the daemon is not ready after ${READY_DEADLINE_MS} ms\n${this.log.slice(from)}`)), READY_DEADLINE_MS);
      lines.once('line', (line) => { clearTimeout(timer); if (line.startsWith('berth ready')) resolve(); else reject(new Error(line)); });
      child.once('exit', (code, signal) => { clearTimeout(timer); reject(new Error(`the daemon ended with ${code ?? signal} before it was ready\n${this.log.slice(from)}`)); });
    });
  }

  /** Resolves when the daemon process is gone. */
  async ended(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => child.once('exit', resolve));
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#child?.kill(signal);
    await this.ended();
  }

  async restart(options: TestDaemonOptions = {}): Promise<void> {
    await this.kill();
    await this.up(options);
  }

  request(method: string, url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const request = http.request({ socketPath: this.socketPath, method, path: url, headers: { ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }), ...headers } }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const raw = Buffer.concat(chunks).toString('utf8');
          let parsed: unknown = raw;
          try { parsed = JSON.parse(raw); } catch { /* not every answer is JSON */ }
          resolve({ status: response.statusCode!, body: parsed, headers: response.headers });
        });
      });
      request.on('error', reject);
      request.end(text);
    });
  }

  /** Throws unless the answer is 2xx. */
  async ok(method: string, url: string, body?: unknown): Promise<any> {
    const answer = await this.request(method, url, body);
    if (answer.status < 200 || answer.status > 299) throw new Error(`${method} ${url} answered ${answer.status}: ${JSON.stringify(answer.body)}\n${this.log.slice(-4000)}`);
    if (answer.body?.kind === 'Operation' && answer.body.status.state !== 'succeeded') throw new Error(`${method} ${url}: ${JSON.stringify(answer.body.status)}\n${this.log.slice(-4000)}`);
    return answer.body;
  }

  async bootstrapBusybox(): Promise<void> {
    await this.ok('POST', '/v1/projects/default/images/-/bootstrap?waitMs=120000', { name: 'busybox' });
  }

  create(name: string, spec: Record<string, unknown>): Promise<any> {
    return this.ok('POST', '/v1/projects/default/instances?waitMs=120000', { meta: { name }, spec: { image: 'busybox', running: true, ...spec } });
  }

  async instance(name: string): Promise<any> {
    const answer = await this.request('GET', `/v1/projects/default/instances/${name}`);
    return answer.status === 404 ? undefined : answer.body;
  }

  untilState(name: string, state: string, deadlineMs = 30_000): Promise<any> {
    return until(async () => { const found = await this.instance(name); return found?.status.state === state ? found : undefined; }, { deadlineMs, what: `'${name}' ${state}` });
  }

  async leaks(): Promise<string[]> {
    return (await this.ok('GET', '/v1/debug/leaks')).leaks as string[];
  }

  /** The kernel takes a namespace's interfaces away a moment after its last descriptor: a short wait is allowed. */
  async untilNoLeaks(): Promise<void> {
    let leaks: string[] = [];
    await until(async () => (leaks = await this.leaks()).length === 0, { deadlineMs: 5000, what: 'no leaks' }).catch(() => {
      throw new Error(`left over:\n${leaks.join('\n')}`);
    });
  }

  /** The root's own control groups, empty by now: a daemon leaves them for the next one. */
  async #removeGroups(): Promise<void> {
    const tag = (await readFile(path.join(this.rootDir, 'state', 'tag'), 'latin1').catch(() => '')).split('\n')[0];
    if (tag === undefined || tag === '') return;
    const controllers = await readdir('/sys/fs/cgroup');
    for (const dir of ['', ...controllers]) await rmdir(path.join('/sys/fs/cgroup', dir, `berth-${tag}`)).catch(() => undefined);
  }

  /** Deletes every instance, volume and network of its own, checks that nothing leaked, ends the daemon. */
  /** Name servers and port holders outlive a daemon, as they should; a test's do not outlive the test. */
  async #endProcesses(): Promise<void> {
    const mine = (): number[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(`${this.base}/`);
      } catch {
        return false; // it ended meanwhile
      }
    }).map(Number);
    await until(() => {
      const left = mine().flatMap((pid) => identify(pid) ?? []);
      for (const one of left) signalProcess(one, 'SIGKILL');
      return left.length === 0;
    }, { what: 'the end of what the daemon started' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child?.exitCode === null && this.#child.signalCode === null) {
        for (const kind of ['instances', 'volumes', 'networks']) {
          for (const item of (await this.ok('GET', `/v1/projects/-/${kind}`)).items) {
            if (kind === 'networks' && item.meta.name === 'default') continue;
            await this.request('DELETE', `/v1/projects/${item.meta.project}/${kind}/${item.meta.name}?waitMs=60000${kind === 'instances' ? '&force=1' : ''}`);
          }
        }
        await this.untilNoLeaks();
        await this.kill('SIGTERM');
      }
    } finally {
      await this.kill();
      await this.#endProcesses();
      if (this.#ownsHolder) {
        this.#holder.stdin!.end();
        await new Promise((resolve) => this.#holder.once('exit', resolve));
      }
      await this.#removeGroups();
      await this.#undoRoot?.();
      await rm(this.base, { recursive: true, force: true });
    }
  }
}
