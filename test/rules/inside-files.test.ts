/** What test/long/inside-debian.test.ts leaves out is there, and all that starts machines is left out: emulation inside emulation takes hours. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { hostFilesInside, NOT_INSIDE } from '../lib/inside-files.ts';

const HOST = path.resolve(import.meta.dirname, '../host');
const MACHINES = /qemu(-os)?-bench\.ts|vms: true/;
const starts = (file: string): boolean => MACHINES.test(fs.readFileSync(path.join(HOST, `${file}.test.ts`), 'utf8'));

test('every file that is left out is there', () => {
  assert.deepEqual(Object.keys(NOT_INSIDE).filter((file) => !fs.existsSync(path.join(HOST, `${file}.test.ts`))), []);
});

test('no file that starts machines runs inside', () => {
  assert.ok(Object.keys(NOT_INSIDE).filter(starts).length > 5, 'the look finds those that do');
  const { first, rest } = hostFilesInside();
  assert.deepEqual([...first, ...rest].filter(starts), []);
});
