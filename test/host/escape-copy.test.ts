/**
 * Copies in and out of an instance that wants out: security.md A14, A15. The instance swaps directories for links while
 * the host copies; its image brings programs that a careless copy would execute.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import type { ExecInside, ExecPlan, ExecSession, OutputChunk } from '../../src/drivers/runtime/driver.ts';
import { copyInto, copyOutOf } from '../../src/drivers/runtime/unit-files.ts';
import { NATIVE_PROGRAM } from '../../src/host/native.ts';
import { tarEnd, tarEntry } from '../../src/lib/tar-header.ts';
import { BerthError } from '../../src/model/errors.ts';
import type { ObjectId } from '../../src/model/ids.ts';
import { withCrunBench, type CrunBench } from '../lib/crun-bench.ts';
import { goesRed } from '../lib/red.ts';
import { until } from '../lib/until.ts';

async function* archive(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(Uint8Array.from(part));
  return Buffer.concat(parts);
}

async function started(bench: CrunBench, script: string): Promise<ObjectId> {
  const plan = bench.plan(['sh', '-c', script]);
  await bench.driver.create(plan);
  await bench.driver.start(plan.id);
  return plan.id;
}

/** The same program outside, over the instance's files as the host has them: what a copy without the walls would be. */
function outside(root: string): ExecInside {
  return async (plan: ExecPlan): Promise<ExecSession> => {
    const args = plan.args.slice(1);
    const child = spawn(NATIVE_PROGRAM, [...args.slice(0, -1), root + args.at(-1)!], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => undefined);
    const exit = once(child, 'close').then(([code]) => ({ exitCode: (code as number | null) ?? 137 }));
    async function* output(): AsyncGenerator<OutputChunk> {
      for await (const data of child.stdout) yield { stream: 'stdout', data: data as Buffer };
      for await (const data of child.stderr) yield { stream: 'stderr', data: data as Buffer };
    }
    return {
      exit, output: output(), resize: async () => undefined, signal: async () => undefined,
      write: async (data) => { child.stdin.write(data); }, endInput: async () => { child.stdin.end(); }, close: async () => { child.kill('SIGKILL'); },
    };
  };
}

const SWAP = 'while true; do rm -rf /a; mkdir -p /a/tmp; rm -rf /a; ln -s / /a; done';
const COPIES = 60;

/** Nothing of the host comes out, and nothing comes to lie on it. */
async function race(bench: CrunBench, execOf: (id: ObjectId) => ExecInside): Promise<void> {
  const canary = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-canary-'));
  try {
    fs.writeFileSync(path.join(canary, 'secret'), 'of the host alone\n');
    const id = await started(bench, SWAP);
    const exec = execOf(id);
    const answers = new Set<string>();
    await until(async () => (await bench.exec(id, ['ls', '-d', '/a'])).exitCode === 0, { deadlineMs: 10_000, what: 'the first swap' });
    for (let at = 0; at < COPIES; at++) {
      const taken = await copyOutOf(exec, { path: `/a${canary}/secret`, followLink: false }).then(bytesOf).catch((error: unknown) => {
        assert.ok(error instanceof BerthError && error.code !== 'internal', String(error));
        answers.add(error.code);
        return Buffer.alloc(0);
      });
      assert.ok(!taken.includes('of the host alone'), 'a file of the host came out');
      await copyInto(exec, { path: `/a${canary}/pwn`, extract: false, archive: false }, archive(tarEntry({ path: 'pwn' }, Buffer.from('bad\n')), tarEnd())).catch((error: unknown) => {
        assert.ok(error instanceof BerthError && error.code !== 'internal', String(error));
      });
      assert.deepEqual(fs.readdirSync(canary), ['secret'], 'a file was made on the host');
    }
    assert.ok([...answers].every((code) => ['notFound', 'invalid', 'unavailable'].includes(code)), [...answers].join());
  } finally {
    fs.rmSync(canary, { recursive: true });
  }
}

test('A14: an instance that swaps a directory for a link in a loop gets nothing of the host, in neither direction', async () => {
  await withCrunBench((bench) => race(bench, (id) => (plan) => bench.driver.exec(id, plan)));
  await goesRed(() => withCrunBench((bench) => race(bench, (id) => outside(path.join(bench.rootDir, 'uppers', id, 'up')))));
});

test('A14: what is swapped where it is written comes to lie inside, or nowhere', async () => {
  await withCrunBench(async (bench) => {
    const id = await started(bench, 'mkdir /in; while true; do mkdir -p /in/t/sub; rm -rf /in/t/sub; ln -s /etc /in/t/sub; rm -f /in/t/sub; done');
    await until(async () => (await bench.exec(id, ['ls', '/in/t'])).exitCode === 0, { deadlineMs: 10_000, what: 'the first swap' });
    const before = (await bench.exec(id, ['ls', '/etc'])).stdout;
    for (let at = 0; at < COPIES; at++) {
      await bench.driver.copyIn(id, { path: '/in', extract: true, archive: false }, archive(tarEntry({ path: 't/sub/', type: 'directory' }), tarEntry({ path: 't/sub/berth-pwn' }, Buffer.from('bad\n')), tarEnd())).catch((error: unknown) => {
        assert.ok(error instanceof BerthError && error.code !== 'internal', String(error));
      });
    }
    assert.equal((await bench.exec(id, ['ls', '/etc'])).stdout, before);
  });
});

/** Every program of the image says that it ran. */
function layTraps(layer: string): void {
  const trap = '#!/bin/sh\necho ran >> /ran\n';
  for (const name of ['tar', 'cp', 'xz', 'gzip', 'cat', 'ps', 'nsenter', 'ls', 'stat']) {
    fs.rmSync(path.join(layer, 'bin', name), { force: true });
    fs.writeFileSync(path.join(layer, 'bin', name), trap, { mode: 0o755 });
  }
  fs.mkdirSync(path.join(layer, 'dev'), { recursive: true });
  fs.writeFileSync(path.join(layer, 'dev/.init'), trap, { mode: 0o755 });
  fs.mkdirSync(path.join(layer, 'etc'), { recursive: true });
  fs.writeFileSync(path.join(layer, 'etc/ld.so.preload'), '/lib/trap.so\n');
}

async function imageRunsNothing(bench: CrunBench, execOf: (id: ObjectId) => ExecInside): Promise<void> {
  layTraps(bench.layer);
  const id = await started(bench, 'mkdir /data; echo one > /data/f; while true; do sleep 1000; done');
  const exec = execOf(id);
  await until(() => fs.existsSync(path.join(bench.rootDir, 'uppers', id, 'up/data/f')), { deadlineMs: 10_000, what: 'its file' });
  await copyOutOf(exec, { path: '/data', followLink: false }).then(bytesOf).catch(() => undefined);
  await copyInto(exec, { path: '/data/g', extract: false, archive: false }, archive(tarEntry({ path: 'g' }, Buffer.from('two\n')), tarEnd())).catch(() => undefined);
  assert.equal((await bench.driver.stats([id])).size, 1);
  assert.equal(fs.existsSync(path.join(bench.rootDir, 'uppers', id, 'up/ran')), false, 'a program of the image ran');
  assert.equal(fs.readFileSync(path.join(bench.rootDir, 'uppers', id, 'up/data/g'), 'utf8'), 'two\n');
}

test('A14, A15: no program and no library of the image runs for cp or stats', async () => {
  await withCrunBench((bench) => imageRunsNothing(bench, (id) => (plan) => bench.driver.exec(id, plan)));
  await goesRed(() => withCrunBench((bench) => imageRunsNothing(bench, (id) => (plan) => bench.driver.exec(id, { ...plan, args: ['/bin/tar', 'c', '/data'], env: ['PATH=/bin'] }))));
});

/** An archive of one instance on its way into another: no entry of it leaves the directory that was named. */
async function staysBelow(program: string): Promise<void> {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-below-'));
  try {
    for (const dir of ['target', 'outside']) fs.mkdirSync(path.join(base, dir));
    for (const link of [path.join(base, 'outside'), '../outside']) {
      const child = spawn(program, ['copy-in', '--extract', '--', path.join(base, 'target')], { stdio: ['pipe', 'ignore', 'pipe'] });
      child.stdin.on('error', () => undefined);
      child.stdin.end(Buffer.concat([tarEntry({ path: 'l', type: 'symlink', link }), tarEntry({ path: 'l/new' }, Buffer.from('bad\n')), tarEnd()]));
      const [code] = await once(child, 'close') as [number];
      assert.deepEqual([code, fs.readdirSync(path.join(base, 'outside'))], [2, []]);
    }
  } finally {
    fs.rmSync(base, { recursive: true });
  }
}

test('A14: a link in an archive leads no later entry out of the directory that it is taken into', async () => {
  await staysBelow(NATIVE_PROGRAM);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-norule-'));
  try {
    const program = path.join(dir, 'berth-native');
    const native = path.resolve(import.meta.dirname, '../../native');
    await promisify(execFile)('gcc', ['-std=gnu17', '-O0', '-D_GNU_SOURCE', '-DRULE_COPY_BENEATH=0', '-static', '-o', program, ...['main', 'os-tar', 'os-copy-in', 'os-copy-out'].map((name) => path.join(native, `${name}.c`))]);
    await goesRed(() => staysBelow(program));
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});
