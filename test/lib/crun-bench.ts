/** A root of its own for tests of the crun driver: busybox as the only layer, plans with short forms, nothing left behind. */
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { CrunRuntime } from '../../src/drivers/runtime/crun/crun-runtime.ts';
import { openCrunRuntime } from '../../src/drivers/runtime/crun/crun-runtime.ts';
import type { CrunGuards, CrunOptions } from '../../src/drivers/runtime/crun/crun-options.ts';
import type { PlanChoices, RuntimeBench } from '../../src/drivers/runtime/contract.ts';
import type { ExecPlan, OutputChunk, UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { openControlGroups } from '../../src/host/cgroup.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { SandboxMaker } from '../../src/host/sandbox-maker.ts';
import { closeDescriptor } from '../../src/host/libc.ts';
import { makeObjectId, type ObjectId } from '../../src/model/ids.ts';
import { patient } from './patience.ts';

export type { PlanChoices };

export const DEFAULT_CAPABILITIES = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_NET_BIND_SERVICE', 'CAP_SETFCAP', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SETUID', 'CAP_SYS_CHROOT',
];

const APPLETS = [
  'sh', 'cat', 'echo', 'ls', 'sleep', 'id', 'grep', 'head', 'tail', 'tr', 'dd', 'stat', 'mount', 'umount', 'mknod', 'hostname', 'kill', 'true', 'false', 'stty', 'yes', 'mkdir', 'rm',
  'touch', 'chown', 'chmod', 'dmesg', 'readlink', 'wc', 'env', 'seq', 'ps', 'ln', 'ip', 'find', 'sort', 'cut', 'fold', 'pwd', 'cp', 'mv', 'trap', 'test', 'tty', 'usleep', 'nproc', 'cmp', 'od', 'ping',
];

/** Lays out a root file system of busybox as one layer, owned by root. */
export function busyboxLayer(dir: string): string {
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'root', 'run', 'home']) fs.mkdirSync(path.join(dir, name), { recursive: true, mode: 0o755 });
  fs.chmodSync(path.join(dir, 'tmp'), 0o1777);
  fs.copyFileSync('/bin/busybox', path.join(dir, 'bin/busybox'));
  fs.chmodSync(path.join(dir, 'bin/busybox'), 0o755);
  for (const applet of APPLETS) fs.symlinkSync('busybox', path.join(dir, 'bin', applet));
  fs.writeFileSync(path.join(dir, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n');
  fs.writeFileSync(path.join(dir, 'etc/group'), 'root:x:0:\nuser:x:1000:\n');
  fs.writeFileSync(path.join(dir, 'plain-file'), 'not a program\n');
  return dir;
}

/** What tests do with a bench, whatever it runs. */
export interface BenchWork {
  /** Creates, starts, waits: what it wrote to its log, and how it ended. */
  run(args: readonly string[], choices?: PlanChoices): Promise<RunOutcome>;
  exec(id: ObjectId, args: readonly string[], choices?: Partial<ExecPlan>): Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>;
}

export interface CrunBench extends RuntimeBench, BenchWork {
  readonly rootDir: string;
  readonly runDir: string;
  readonly rootTag: string;
  readonly layer: string;
}

export interface RunOutcome {
  readonly exitCode: number | undefined;
  readonly reason: string;
  readonly stdout: string;
  readonly stderr: string;
}

export function newId(): ObjectId {
  return makeObjectId(crypto.randomBytes(16));
}

export type CrunBenchOptions = { readonly guards?: Partial<CrunGuards> } & Partial<Pick<CrunOptions, 'timings' | 'crun'>>;

export async function withCrunBench(work: (bench: CrunBench) => Promise<void>, options: CrunBenchOptions = {}): Promise<void> {
  await using bench = await openCrunBench(options);
  await work(bench);
}

export async function openCrunBench(options: CrunBenchOptions = {}): Promise<CrunBench> {
  const rootDir = fs.mkdtempSync(path.join(os.tmpdir(), 'bc-'));
  fs.chmodSync(rootDir, 0o711);
  const runDir = path.join(rootDir, 'r');
  const rootTag = crypto.randomBytes(3).toString('hex');
  const layer = busyboxLayer(path.join(rootDir, 'layer'));
  const maker = new SandboxMaker(NATIVE_PROGRAM);
  let ranges = 0;
  const idBase = 1_200_000_000 + crypto.randomInt(4000) * 65_536;
  const open = (): Promise<CrunRuntime> => openCrunRuntime({
    rootDir, runDir, rootTag, nativeProgram: NATIVE_PROGRAM, crun: '/usr/bin/crun', conmon: '/usr/bin/conmon', ...options,
    async openSandbox() {
      const base = idBase + ranges++ * 65_536;
      const pair = await maker.open(base, 65_536, []);
      return {
        ...pair, idBase: base, idCount: 65_536,
        close() {
          closeDescriptor(pair.userNamespaceFd);
          closeDescriptor(pair.networkNamespaceFd);
        },
      };
    },
  });
  let driver = await open();
  const plans: UnitPlan[] = [];
  const bench: CrunBench = {
    rootDir, runDir, rootTag, layer,
    get driver() {
      return driver;
    },
    plan(args, choices = {}) {
      const id = choices.id ?? newId();
      const upperDir = path.join(rootDir, 'uppers', id);
      for (const name of ['up', 'work']) fs.mkdirSync(path.join(upperDir, name), { recursive: true, mode: 0o755 });
      const plan = busyboxPlan(id, args, { ...choices, root: { layers: [layer], upperDir, ...choices.root } });
      plans.push(plan);
      return plan;
    },
    async reopen() {
      await driver[Symbol.asyncDispose]();
      return driver = await open();
    },
    ...benchWork(() => bench, patient(20_000)),
    volumeDir() {
      return fs.mkdtempSync(path.join(rootDir, 'volume-'));
    },
    async [Symbol.asyncDispose]() {
      for (const plan of plans) await driver.remove(plan.id, { keepLog: false });
      await driver[Symbol.asyncDispose]();
      await maker[Symbol.asyncDispose]();
      using groups = openControlGroups(`berth-${rootTag}`);
      groups.removeParent();
      fs.rmSync(rootDir, { recursive: true });
    },
  };
  return bench;
}

export function benchWork(bench: () => Pick<RuntimeBench, 'driver' | 'plan'>, waitMs: number): BenchWork {
  return {
    async run(args, choices) {
      const { driver, plan } = bench(), unit = plan(args, choices), { id } = unit;
      await driver.create(unit);
      await driver.start(id);
      const exit = await driver.waitExit(id, AbortSignal.timeout(waitMs));
      const log = logText(await driver.logFiles(id));
      await driver.remove(id, { keepLog: false });
      return { exitCode: exit.exitCode, reason: exit.reason, ...log };
    },
    async exec(id, args, choices = {}) {
      const session = await bench().driver.exec(id, execPlan(args, choices));
      const seen = await collect(session.output);
      return { ...(await session.exit), ...seen };
    },
  };
}

export function busyboxPlan(id: ObjectId, args: readonly string[], choices: PlanChoices & { readonly root: Partial<UnitPlan['root']> }): UnitPlan {
  return {
    id, name: `t-${id}`, project: 'p', hostname: 'inside', form: 'appContainer', stdin: false, init: false,
    capabilities: DEFAULT_CAPABILITIES, noNewPrivileges: true, rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 65_536 }],
    resources: { memoryBytes: 256 * 1024 * 1024, cpuWeight: 100, pids: 256 },
    mounts: [], tmpfs: [], shmBytes: 64 * 1024 * 1024, sysctls: {}, stopSignal: 'SIGTERM',
    network: { interfaces: [], nameservers: [], searchDomains: [] },
    log: { maxBytes: 1024 * 1024, maxFiles: 3 },
    ...choices,
    process: {
      args, env: ['PATH=/bin', 'HOME=/root'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: false, ...choices.process,
    },
    root: { layers: [], readOnly: false, volatile: false, ...choices.root },
  };
}

export function execPlan(args: readonly string[], choices: Partial<ExecPlan> = {}): ExecPlan {
  return {
    args, env: ['PATH=/bin', 'HOME=/root'], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: false, stdin: false,
    noNewPrivileges: true, capabilities: DEFAULT_CAPABILITIES, ...choices,
  };
}

export async function collect(output: AsyncIterable<OutputChunk>): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const seen = { stdout: '', stderr: '' };
  for await (const chunk of output) seen[chunk.stream] += Buffer.from(chunk.data).toString();
  return seen;
}

/** What the streams held, from a k8s-file log. */
export function logText(files: readonly string[]): { readonly stdout: string; readonly stderr: string } {
  const seen = { stdout: '', stderr: '' };
  for (const line of files.flatMap((file) => fs.readFileSync(file, 'utf8').split('\n'))) {
    const found = /^\S+ (stdout|stderr) ([PF]) (.*)$/s.exec(line);
    if (found !== null) seen[found[1] as 'stdout' | 'stderr'] += found[3]! + (found[2] === 'F' ? '\n' : '');
  }
  return seen;
}

/** Compiles a static C program for use inside. */
export function compileStatic(source: string, output: string): void {
  execFileSync('gcc', ['-std=gnu17', '-O1', '-Wall', '-Werror', '-static', '-x', 'c', '-o', output, '-'], { input: source, stdio: ['pipe', 'inherit', 'inherit'] });
}
