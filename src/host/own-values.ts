/**
 * lxcfs (lxcfs(1)): shows each reader the memory, processors, load and uptime of its own container in files of /proc. One
 * process for each root, in a mount namespace of its own, so that its mount is nowhere on the host; it outlives the daemon,
 * because systems that run have its files open.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { BerthError } from '../model/errors.ts';
import { attachMount, clonedMount, closeDescriptor } from './libc.ts';
import { inMountNamespaceOf, inNewMountNamespace } from './mounts.ts';
import { findProcess, identify, isAlive, type ProcessIdentity } from './process.ts';
import { PLAIN_ENV } from './run.ts';

/** Of its tree, what is shown; relative to /. */
export const OWN_VALUE_FILES = ['proc/cpuinfo', 'proc/diskstats', 'proc/loadavg', 'proc/meminfo', 'proc/stat', 'proc/swaps', 'proc/uptime', 'sys/devices/system/cpu/online'] as const;

const START_TIMEOUT_MS = 5_000;
const LOOK_MS = 5;

/** A mount that is nowhere yet; gone when it is disposed of before it was attached. */
export class DetachedTree implements Disposable {
  #fd: number | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  attach(target: string): void {
    const fd = this.#fd!;
    this.#fd = undefined;
    fs.mkdirSync(target, { mode: 0o711 });
    attachMount(fd, target);
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeDescriptor(this.#fd);
    this.#fd = undefined;
  }
}

export class OwnValues {
  readonly #program: string;
  readonly #dir: string;
  #process: ProcessIdentity | undefined;
  #starting: Promise<ProcessIdentity> | undefined;

  /** `dir` is made where missing; it stays empty as the host sees it. */
  constructor(program: string, dir: string) {
    this.#program = program;
    this.#dir = dir;
  }

  /** A copy of the mount of its tree; undefined where lxcfs is not installed. Errors: `unavailable` when it does not come up. */
  async tree(): Promise<DetachedTree | undefined> {
    if (!fs.existsSync(this.#program)) return undefined;
    const { pid } = await (this.#starting ??= this.#running().finally(() => { this.#starting = undefined; }));
    return new DetachedTree(inMountNamespaceOf(pid, () => clonedMount(this.#dir)));
  }

  async #running(): Promise<ProcessIdentity> {
    if (this.#process !== undefined && isAlive(this.#process)) return this.#process;
    const there = await findProcess((words) => path.basename(words[0] ?? '') === path.basename(this.#program) && words.includes(this.#dir));
    return this.#process = there !== undefined && this.#mountedBy(there.pid) ? there : await this.#start();
  }

  async #start(): Promise<ProcessIdentity> {
    await fs.promises.mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const child = inNewMountNamespace(() => spawn(this.#program, ['-f', '-l', '--enable-cfs', '-p', `${this.#dir}.pid`, this.#dir], { cwd: '/', env: { ...PLAIN_ENV }, stdio: 'ignore', detached: true }));
    const failed = new Promise<never>((_resolve, reject) => {
      const fail = (cause?: unknown): void => reject(new BerthError('unavailable', `${this.#program} did not come up.`, { hint: 'Is /dev/fuse there? `berth doctor` looks.', cause }));
      child.once('error', fail);
      child.once('exit', () => fail());
    });
    failed.catch(() => undefined); // it ends some day, long after anybody waits
    child.unref();
    const end = performance.now() + START_TIMEOUT_MS;
    while (child.pid === undefined || !this.#mountedBy(child.pid)) {
      if (performance.now() > end) throw new BerthError('timeout', `${this.#program} did not mount its files within ${START_TIMEOUT_MS} ms.`);
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, LOOK_MS))]);
    }
    const process = identify(child.pid);
    return process ?? failed;
  }

  #mountedBy(pid: number): boolean {
    try {
      return fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n').some((line) => line.split(' ')[4] === this.#dir && line.includes(' - fuse.lxcfs '));
    } catch {
      return false;
    }
  }
}
