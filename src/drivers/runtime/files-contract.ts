/** Files in and out: the part of the runtime suite that speaks tar. */
import assert from 'node:assert/strict';
import { tarEnd, tarEntry } from '../../lib/tar-header.ts';
import { readTar } from '../../lib/tar-reader.ts';
import { BerthError, type ErrorCode } from '../../model/errors.ts';
import type { ObjectId } from '../../model/ids.ts';
import type { Has } from './contract-cases.ts';
import type { Outcome, RuntimeBench } from './contract.ts';
import type { ExitRecord, RuntimeDriver } from './driver.ts';

const MEBIBYTE = 1024 * 1024;

export interface FilesContractParts {
  readonly check: (title: string, body: (bench: RuntimeBench) => Promise<void>, ...needs: readonly Has[]) => void;
  readonly started: (bench: RuntimeBench, args: readonly string[]) => Promise<ObjectId>;
  readonly executed: (driver: RuntimeDriver, id: ObjectId, args: readonly string[]) => Promise<Outcome>;
  readonly ended: (driver: RuntimeDriver, id: ObjectId) => Promise<ExitRecord>;
  readonly rejects: (promise: Promise<unknown>, code: ErrorCode) => Promise<void>;
  readonly until: <T>(condition: () => T | Promise<T>, deadlineMs: number, what: string) => Promise<NonNullable<T>>;
  readonly patience: number;
}

export function filesContract({ check, started, executed, ended, rejects, until, patience }: FilesContractParts): void {
  check('what is copied in comes out again, and is what the workload sees', async (bench) => {
    const { driver } = bench;
    const id = await started(bench, ['sleep', '1000']);
    const content = Buffer.alloc(300_000, 'x');
    await driver.copyIn(id, { path: '/tmp', extract: false, archive: false }, pieces(tarEntry({ path: 'tree/', type: 'directory' }), tarEntry({ path: 'tree/a' }, Buffer.from('one\n')), tarEntry({ path: 'tree/b' }, content), tarEnd()));
    assert.equal((await executed(driver, id, ['cat', '/tmp/tree/a'])).stdout, 'one\n');
    const out = await entriesOf(await driver.copyOut(id, { path: '/tmp/tree', followLink: false }));
    assert.deepEqual(out.map(({ path }) => path).sort(), ['tree/', 'tree/a', 'tree/b']);
    assert.ok(out.find(({ path }) => path === 'tree/b')!.content.equals(content));
    assert.deepEqual((await entriesOf(await driver.copyOut(id, { path: '/tmp/tree/.', followLink: false }))).map(({ path }) => path).sort(), ['./', './a', './b']);
    await driver.copyIn(id, { path: '/tmp/renamed', extract: false, archive: false }, pieces(tarEntry({ path: 'f' }, Buffer.from('two\n')), tarEnd()));
    assert.equal((await executed(driver, id, ['cat', '/tmp/renamed'])).stdout, 'two\n');
    await driver.copyIn(id, { path: '/tmp', extract: true, archive: false }, pieces(tarEntry({ path: 'x/y' }, Buffer.from('three\n')), tarEnd()));
    assert.equal((await executed(driver, id, ['cat', '/tmp/x/y'])).stdout, 'three\n');
  });

  check('refusals say why before the first byte; nothing is left running', async (bench) => {
    const { driver } = bench;
    const id = await started(bench, ['sleep', '1000']);
    await rejects(driver.copyOut(id, { path: '/no/such', followLink: false }), 'notFound');
    await rejects(driver.copyIn(id, { path: '/no/such', extract: true, archive: false }, pieces(tarEnd())), 'notFound');
    await rejects(driver.copyIn(id, { path: '/tmp', extract: false, archive: false }, pieces(tarEntry({ path: 'a/../../b' }), tarEnd())), 'invalid');
    await rejects(driver.copyIn(id, { path: '/tmp', extract: false, archive: false }, pieces(Buffer.alloc(2048, 'not a tar'))), 'invalid');
    await driver.signal(id, 'SIGKILL');
    await ended(driver, id);
    await rejects(driver.copyOut(id, { path: '/tmp', followLink: false }), 'wrongState');
  });

  check('who stops reading, or never begins, ends the copy', async (bench) => {
    const { driver } = bench;
    const id = await started(bench, ['sleep', '1000']);
    await driver.copyIn(id, { path: '/tmp/big', extract: false, archive: false }, pieces(tarEntry({ path: 'big' }, Buffer.alloc(4 * MEBIBYTE)), tarEnd()));
    for (const reads of [0, 1]) {
      const source = (await driver.copyOut(id, { path: '/tmp/big', followLink: false }))[Symbol.asyncIterator]();
      for (let at = 0; at < reads; at++) assert.equal((await source.next()).done, false);
      await source.return!();
    }
    // One whose sender gives nothing, and who then leaves.
    const leave = new AbortController();
    const waiting = driver.copyIn(id, { path: '/tmp/never', extract: false, archive: false }, silent(), leave.signal);
    waiting.catch(() => undefined);
    await until(async () => /copy-in/.test((await executed(driver, id, ['ps'])).stdout), 10_000 * patience, 'the copy that waits');
    leave.abort();
    await assert.rejects(waiting, BerthError);
    await until(async () => !/copy-(in|out)/.test((await executed(driver, id, ['ps'])).stdout), 10_000 * patience, 'the end of the copies');
  });
}

/** Waits for ever. */
function silent(): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
}

async function* pieces(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) for (let at = 0; at < part.length; at += 100_000) yield part.subarray(at, at + 100_000);
}

async function entriesOf(archive: AsyncIterable<Uint8Array>): Promise<readonly { readonly path: string; readonly content: Buffer }[]> {
  const found: { path: string; content: Buffer }[] = [];
  for await (const { path, content } of readTar(archive, { whole: true })) {
    const parts: Uint8Array[] = [];
    for await (const part of content) parts.push(Uint8Array.from(part));
    found.push({ path, content: Buffer.concat(parts) });
  }
  return found;
}
