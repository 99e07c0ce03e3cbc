/** Root file systems that want out: security.md A02, A05, A07, A08, A09. Each case lays a trap in the image or in the upper. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { execProcess, ociSpec } from '../../src/drivers/runtime/crun/oci-spec.ts';
import { assertOwnDirectory } from '../../src/drivers/runtime/crun/working-directory.ts';
import { closeDescriptor, openDescriptor } from '../../src/host/libc.ts';
import { inNewMountNamespace } from '../../src/host/mounts.ts';
import { BerthError } from '../../src/model/errors.ts';
import { withCrunBench, type CrunBench, type CrunBenchOptions } from '../lib/crun-bench.ts';
import { goesRed } from '../lib/red.ts';
import { until } from '../lib/until.ts';

interface Trap {
  readonly name: string;
  /** Lays it into a root file system; `canary` is a directory of the host that must not change. */
  readonly lay: (root: string, canary: string) => void;
  readonly terminal?: boolean;
}

const link = (where: string, target: string) => (root: string): void => {
  fs.rmSync(path.join(root, where), { recursive: true, force: true });
  fs.mkdirSync(path.dirname(path.join(root, where)), { recursive: true });
  fs.symlinkSync(target, path.join(root, where));
};
const linkToCanary = (where: string, below = '') => (root: string, canary: string): void => { link(where, path.join(canary, below))(root); };

const TRAPS: readonly Trap[] = [
  { name: 'A05: /proc is a link', lay: link('proc', '/bad-proc') },
  { name: 'A05: /sys is a link', lay: link('sys', '/home') },
  { name: 'A05: /proc is a file', lay(root) { fs.rmSync(path.join(root, 'proc'), { recursive: true, force: true }); fs.writeFileSync(path.join(root, 'proc'), ''); } },
  { name: 'A07: /dev/console leads to the host', lay: linkToCanary('dev/console', 'new'), terminal: true },
  { name: 'A07: /dev/ptmx leads to the host', lay: linkToCanary('dev/ptmx', 'p'), terminal: true },
  { name: 'A07: /dev/pts leads to the host', lay: linkToCanary('dev/pts'), terminal: true },
  { name: 'A08: /dev leads to the host', lay: linkToCanary('dev') },
  { name: 'A08: /dev leads up and out', lay: link('dev', '../../../../../../tmp') },
  { name: 'A09: /dev/null leads to a file', lay: linkToCanary('dev/null', 'file') },
  { name: 'A09: /dev/null is a file', lay(root) { fs.writeFileSync(path.join(root, 'dev/null'), ''); } },
  { name: '/dev/shm leads to the host', lay: linkToCanary('dev/shm') },
  { name: '/etc leads to the host', lay: linkToCanary('etc') },
  { name: '/etc/passwd leads to the host', lay: linkToCanary('etc/passwd', 'file') },
];

interface Seen {
  readonly name: string;
  readonly uid: number;
  readonly mode: number;
  readonly size: number;
}

function listing(dir: string): readonly Seen[] {
  return fs.readdirSync(dir).map((name) => {
    const { uid, mode, size } = fs.lstatSync(path.join(dir, name));
    return { name, uid, mode, size };
  });
}

/** Refused before anything is started, and nothing of the host is touched. */
async function refused(bench: CrunBench, trap: Trap, where: 'layer' | 'upper'): Promise<void> {
  const canary = fs.mkdtempSync(path.join(bench.rootDir, 'canary-'));
  fs.writeFileSync(path.join(canary, 'file'), 'precious\n');
  const before = [listing(canary), fs.statSync(canary).uid];
  const plan = bench.plan(['sh', '-c', 'echo x > /dev/null'], { process: { terminal: trap.terminal === true } });
  trap.lay(where === 'layer' ? bench.layer : path.join(bench.rootDir, 'uppers', plan.id, 'up'), canary);
  await assert.rejects(bench.driver.create(plan), (error: unknown) => {
    assert.ok(error instanceof BerthError && error.code === 'invalid' && error.details?.['path'] !== undefined, String(error));
    return true;
  });
  assert.deepEqual([listing(canary), fs.statSync(canary).uid], before);
  assert.deepEqual(await bench.driver.leftovers(new Set()), []);
}

for (const trap of TRAPS) {
  test(trap.name, async () => {
    await withCrunBench((bench) => refused(bench, trap, 'layer'));
    await withCrunBench(async (bench) => {
      fs.mkdirSync(path.join(bench.rootDir, 'uppers'), { recursive: true });
      // An upper has no directories of its own yet.
      await refused(bench, { ...trap, lay(root, canary) { fs.mkdirSync(path.join(root, 'dev'), { recursive: true }); trap.lay(root, canary); } }, 'upper');
    });
  });
}

test('A05, A07, A08, A09 go red without the pre-flight', async () => {
  const blind: CrunBenchOptions = { guards: { preflight: { check: () => undefined } } };
  for (const trap of TRAPS) await goesRed(() => withCrunBench((bench) => refused(bench, trap, 'layer'), blind));
});

test('A07, A08, A09: a fresh /dev alone already keeps the host’s files: nothing changes without the pre-flight either', async () => {
  for (const trap of TRAPS.filter(({ name }) => /dev\/(console|null|ptmx|pts)/.test(name))) {
    await withCrunBench(async (bench) => {
      const canary = fs.mkdtempSync(path.join(bench.rootDir, 'canary-'));
      fs.writeFileSync(path.join(canary, 'file'), 'precious\n');
      const before = listing(canary);
      trap.lay(bench.layer, canary);
      const outcome = await bench.run(['sh', '-c', 'echo x > /dev/null; echo done'], { process: { terminal: trap.terminal === true } });
      assert.match(outcome.stdout, /done/);
      assert.deepEqual(listing(canary), before);
    }, { guards: { preflight: { check: () => undefined } } });
  }
});

async function ownWorkingDirectory(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    const keeper = bench.plan(['sleep', '1000']);
    await bench.driver.create(keeper);
    await bench.driver.start(keeper.id);
    for (const cwd of ['/proc/self/fd/7', '/proc', '/../proc/self/fd/8', '/home/../proc/1', '//proc/self/cwd', '/sys', 'home', '', '/home/\0']) {
      const invalid = (error: unknown): boolean => error instanceof BerthError && error.code === 'invalid';
      await assert.rejects(bench.exec(keeper.id, ['pwd'], { cwd }), invalid, cwd);
      await assert.rejects(bench.driver.create(bench.plan(['pwd'], { process: { cwd } })), invalid, cwd);
    }
  }, options);
}

test('A02: a working directory below /proc is refused, for run and exec', () => ownWorkingDirectory({}));
test('A02 goes red when an exec’s directory is handed on unchecked', () => goesRed(() => ownWorkingDirectory({ guards: { execProcess: (plan, idCount) => ({ ...execProcess({ ...plan, cwd: '/' }, idCount), cwd: plan.cwd }) } })));
test('A02 goes red when the first process’s directory is handed on unchecked', () => goesRed(() => ownWorkingDirectory({ guards: {
  spec(plan, around) {
    const spec = ociSpec({ ...plan, process: { ...plan.process, cwd: '/' } }, around);
    return { ...spec, process: { ...spec.process, cwd: plan.process.cwd } };
  },
} })));

/** Descriptors that a container could find its way out through: those that crun, the monitor and the daemon have. */
const LEAKED = Array.from({ length: 38 }, (_, n) => n + 3);

function linksToDescriptors(bench: CrunBench): void {
  for (const n of LEAKED) fs.symlinkSync(`/proc/self/fd/${n}`, path.join(bench.layer, `w${n}`));
}

async function noWayThroughDescriptors(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    linksToDescriptors(bench);
    for (const n of LEAKED.filter((number) => number < 16 || number % 8 === 0)) {
      await assert.rejects(bench.run(['pwd'], { process: { cwd: `/w${n}` } }), (error: unknown) => error instanceof BerthError && error.code === 'invalid', `w${n}`);
    }
  }, options);
}

test('A02: a link in the image to a descriptor leads nowhere', () => noWayThroughDescriptors({}));

/** A runtime like the one of CVE-2024-21626: a descriptor of the host's root stays open in it. */
async function withLeakyRuntime(work: (crun: string) => Promise<void>): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'leaky-'));
  try {
    const crun = path.join(dir, 'crun');
    fs.writeFileSync(crun, '#!/bin/sh\nexec 7</\nexec /usr/bin/crun "$@"\n', { mode: 0o755 });
    await work(crun);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

test('A02: nor with a runtime that leaks one', () => withLeakyRuntime((crun) => noWayThroughDescriptors({ crun })));
test('A02 goes red with that runtime when nobody looks where a container waits', () => withLeakyRuntime((crun) => goesRed(() => noWayThroughDescriptors({ crun, guards: { workingDirectory: () => undefined } }))));

test('A02: for an exec, too; and no descriptor but the three is handed in', () => withCrunBench(async (bench) => {
  linksToDescriptors(bench);
  const keeper = bench.plan(['sleep', '1000']);
  await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  for (const n of LEAKED.filter((number) => number < 16 || number % 8 === 0)) {
    const seen = await bench.exec(keeper.id, ['pwd'], { cwd: `/w${n}` });
    assert.equal(seen.stdout, '', `w${n}`);
  }
  for (const { stdout } of [await bench.run(['ls', '/proc/self/fd']), await bench.exec(keeper.id, ['ls', '/proc/self/fd'])]) {
    assert.deepEqual(stdout.trim().split('\n'), ['0', '1', '2', '3'], 'the fourth is the directory that ls reads');
  }
}));

test('A02: the guard knows a directory of its own mounts from one that leaked in', async () => {
  const hostDir = openDescriptor('/', fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  const inside = inNewMountNamespace(() => [spawn('sleep', ['1000'], { cwd: '/' }), spawn('sleep', ['1000'], { cwd: `/proc/${process.pid}/fd/${hostDir}` })]);
  try {
    await until(() => inside.every(({ pid }) => fs.readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n'));
    assertOwnDirectory(inside[0]!.pid!);
    assert.throws(() => { assertOwnDirectory(inside[1]!.pid!); }, /leads out/);
  } finally {
    closeDescriptor(hostDir);
    for (const child of inside) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
});
