/** What test/long/inside-debian.test.ts leaves out is there, and all that starts machines is left out: emulation inside emulation takes hours. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { hostFilesInside, NOT_INSIDE } from '../lib/inside-files.ts';
import { insideTables } from '../lib/inside-page.ts';
import type { InsidePart } from '../lib/inside-record.ts';

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

test('the page tells what failed, and what has not run', () => {
  const part = (name: string, pass: number, fail: number): InsidePart => ({ part: name, pass, fail, failed: [], seconds: 100, at: '2026-11-21T23:41:35.000Z' });
  const page = insideTables([{ suite: 'trixie', facts: { kernel: '6.12' }, parts: [part('test/host/crun', 53, 1), part('test/host/network', 5, 0), part('a reboot', 0, 1)] }]);
  assert.match(page, /^\| test\/host\/crun \| not run \| \*\*53 of 54\*\*, 2 min \|$/m);
  assert.match(page, /^\| test\/host\/network \| not run \| 5 of 5, 2 min \|$/m);
  assert.match(page, /^\| a reboot \| not run \| \*\*no\*\*, 2 min \|$/m);
  assert.match(page, /^\| looked at \(UTC\) \| not yet \| 2026-11-21 23:41 \|$/m);
});
