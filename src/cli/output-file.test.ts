import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { run } from '../host/run.ts';
import { BerthError } from '../model/errors.ts';
import { writeFileWhole } from './output-file.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-output-'));
after(() => fs.rmSync(dir, { recursive: true }));

function source(...chunks: (string | Error)[]): { read(): Promise<Uint8Array<ArrayBuffer> | undefined> } {
  return {
    async read() {
      const next = chunks.shift();
      if (next instanceof Error) throw next;
      return next === undefined ? undefined : new TextEncoder().encode(next);
    },
  };
}

test('a file is there whole or not at all, and nothing lies beside it', async () => {
  const file = path.join(dir, 'a');
  await writeFileWhole(file, source('one ', 'two'));
  assert.equal(fs.readFileSync(file, 'utf8'), 'one two');
  await assert.rejects(writeFileWhole(file, source('three', new Error('cut'))), /cut/);
  assert.equal(fs.readFileSync(file, 'utf8'), 'one two');
  assert.deepEqual(fs.readdirSync(dir), ['a']);
});

test('a device is written to and stays one', async () => {
  const link = path.join(dir, 'null');
  fs.symlinkSync('/dev/null', link);
  await writeFileWhole(link, source('x'));
  assert.equal(fs.statSync(link).isCharacterDevice(), true);
  assert.equal(fs.lstatSync(link).isSymbolicLink(), true);
});

test('a pipe gets the bytes', async () => {
  const pipe = path.join(dir, 'pipe');
  await run('mkfifo', [pipe]);
  const read = fs.promises.readFile(pipe, 'utf8');
  await writeFileWhole(pipe, source('through'));
  assert.equal(await read, 'through');
  assert.equal(fs.statSync(pipe).isFIFO(), true);
});

test('what a link leads to is replaced, and the link stays', async () => {
  const file = path.join(dir, 'target');
  const link = path.join(dir, 'link');
  fs.writeFileSync(file, 'old');
  fs.symlinkSync('target', link);
  await writeFileWhole(link, source('new'));
  assert.equal(fs.readlinkSync(link), 'target');
  assert.equal(fs.readFileSync(file, 'utf8'), 'new');
});

test('a directory and a missing one are refused with the reason, before anything is read', async () => {
  const unread = { read: () => assert.fail('it was read') };
  await assert.rejects(writeFileWhole(dir, unread), (error) => error instanceof BerthError && /is a directory/.test(error.message));
  await assert.rejects(writeFileWhole(path.join(dir, 'no', 'such'), unread), (error) => error instanceof BerthError && /no such/.test(error.message));
});
