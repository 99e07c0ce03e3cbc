/** `berth advise` as a program, where no daemon is. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { run } from '../host/run.ts';
import { completions } from './completions.ts';
import { assertCalm } from './calibrate-run.ts';
import type { Context } from './command.ts';
import type { BerthError } from '../model/errors.ts';

const HOME = path.resolve(import.meta.dirname, '../..');
const ESTATES = path.join(HOME, 'test/fixtures/estates');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-advise-'));
after(() => fs.rmSync(dir, { recursive: true }));

function advise(...words: readonly string[]): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir, BERTH_HOST: '' };
  return run(process.execPath, [path.join(HOME, 'src/cli/main.ts'), 'advise', ...words], { env, allowFailure: true, timeoutMs: 60_000, maxOutputBytes: 32 * 1024 * 1024 });
}

const shipped = ['--figures', 'shipped'];

test('json has what scripts read, and problems end with 2 while the rest is answered', async () => {
  const { code, stdout, stderr } = await advise(path.join(ESTATES, 'berth'), '-o', 'json', ...shipped);
  assert.equal(code, 2);
  const { workloads, problems } = JSON.parse(stdout) as { workloads: { name: string; form: string; runnerUp: string | null; confidence: number; reasons: string[]; flags: string[] }[]; problems: { file: string; line: number; field: string; message: string }[] };
  assert.deepEqual(workloads.map((one) => one.name), ['erp', 'fine', 'typo', 'web']);
  for (const { form, confidence, reasons, flags } of workloads) {
    assert.match(form, /^(app-container|os-container|microvm|vm|host|none)$/);
    assert.ok(confidence >= 0 && confidence <= 1 && reasons.length > 0 && Array.isArray(flags));
  }
  assert.ok(problems.some(({ file, line, field }) => file.endsWith('broken.yaml') && line === 8 && field === 'meta.name'));
  assert.match(stderr, /broken\.yaml:5: spec\.replicas: /);
});

test('the same input gives the same bytes, in whatever order the files come', async () => {
  const files = ['compose/shop.yaml', 'docker/inspect.json', 'csv/estate.csv'].map((name) => path.join(ESTATES, name));
  const [first, second, other] = await Promise.all([files, files, files.toReversed()].map((names) => advise(...names, '-o', 'json', ...shipped)));
  assert.equal(first!.code, 0, first!.stderr);
  assert.equal(first!.stdout, second!.stdout);
  const decisions = (text: string): unknown => (JSON.parse(text) as { workloads: unknown }).workloads;
  assert.deepEqual(decisions(first!.stdout), decisions(other!.stdout));
});

test('a table for people with costs, and every other format', async () => {
  const file = path.join(ESTATES, 'kubernetes/shop.yaml');
  const table = await advise(file, '--prices', path.join(HOME, 'examples/prices.yaml'), ...shipped);
  assert.match(table.stdout, /^WORKLOAD +FORM +RUNNER-UP +SURE +EUR A MONTH +FLAGS +WHY\n/);
  assert.match(table.stdout, /erp-windows +vm/);
  assert.match(table.stdout, /As recommended/);
  assert.match((await advise(file, '-o', 'markdown', ...shipped)).stdout, /^# /);
  assert.match((await advise(file, '-o', 'csv', ...shipped)).stdout, /^workload,/);
  assert.match((await advise(file, '-o', 'html', ...shipped)).stdout, /^<!DOCTYPE html>/);
  assert.match((await advise(file, '-o', 'yaml', ...shipped)).stdout, /^workloads:\n/);
  assert.match((await advise('manifests', file, ...shipped)).stdout, /^kind: Instance$/m);
});

test('the whole derivation, of one or of all; a name that is none has a hint', async () => {
  const file = path.join(ESTATES, 'berth/workloads.yaml');
  const one = await advise(file, '--explain', 'erp', ...shipped);
  assert.match(one.stdout, /^erp: OS container/);
  assert.match(one.stdout, /weight × score/);
  assert.equal((await advise(file, '--explain=erp', ...shipped)).stdout, one.stdout);
  assert.match((await advise(file, '--explain', ...shipped)).stdout, /^web: /m);
  const wrong = await advise(file, '--explain', 'epr', ...shipped);
  assert.deepEqual([wrong.code, /Did you mean 'erp'/.test(wrong.stderr)], [5, true]);
});

test('weights and figures of files are used, and refused where they are wrong', async () => {
  const file = path.join(ESTATES, 'berth/workloads.yaml');
  const write = (name: string, text: string): string => {
    fs.writeFileSync(path.join(dir, name), text);
    return path.join(dir, name);
  };
  const plain = await advise(file, '-o', 'json', ...shipped);
  const weighed = await advise(file, '-o', 'json', ...shipped, '--weights', write('weights.yaml', 'density: 90\n'));
  assert.equal(weighed.code, 0, weighed.stderr);
  assert.notEqual(weighed.stdout, plain.stdout);
  const badWeights = await advise(file, ...shipped, '--weights', write('bad.yaml', 'colour: 3\n'));
  assert.deepEqual([badWeights.code, /colour/.test(badWeights.stderr)], [2, true]);
  const figures = { host: 'my host', shipped: false, hardwareVirtualization: true, forms: { appContainer: { memoryOverheadBytes: { value: 1, n: 2, date: '2026-11-21', source: 'test', transferable: true } } } };
  const measured = await advise(file, '--figures', write('figures.json', JSON.stringify(figures)));
  assert.match(measured.stdout, /Figures: my host/);
  const badFigures = await advise(file, '--figures', write('bad.json', '{"host": 1}'));
  assert.equal(badFigures.code, 2);
  assert.match(badFigures.stderr, /host/);
});

test('a file that is no text costs itself alone', async () => {
  const sheet = path.join(dir, 'estate.xlsx');
  fs.writeFileSync(sheet, Buffer.from([0x50, 0x4b, 3, 4, 0xff, 0xfe]));
  const { code, stdout, stderr } = await advise(sheet, path.join(ESTATES, 'berth/workloads.yaml'), '-o', 'json', ...shipped);
  assert.equal(code, 2);
  assert.deepEqual((JSON.parse(stdout) as { workloads: { name: string }[] }).workloads.map((one) => one.name), ['erp', 'web']);
  assert.match(stderr, /estate\.xlsx: .*not UTF-8 text\. Export it as CSV\./);
});

test('what is missing or no format is said with a hint', async () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['nowhere.yaml'], 2, /nowhere\.yaml' cannot be read: there is no such file/],
    [[path.join(ESTATES, 'berth/workloads.yaml'), '-o', 'htm'], 2, /Did you mean html/],
    [[], 2, /Something is missing/],
  ];
  for (const [words, code, pattern] of cases) {
    const answer = await advise(...words);
    assert.deepEqual([answer.code, pattern.test(answer.stderr)], [code, true], answer.stderr);
  }
});

test('completion knows its verbs, flags and values', async () => {
  const context = {} as Context;
  assert.deepEqual(await completions(['advise', ''], context), ['calibrate', 'manifests', 'review']);
  assert.ok((await completions(['advise', '--ex'], context)).includes('--explain'));
  assert.ok((await completions(['advise', '-o', 'h'], context)).includes('html'));
  assert.ok((await completions(['advise', 'calibrate', '--'], context)).includes('--force'));
});

test('a busy host is not measured unless that is asked for', () => {
  assert.throws(() => assertCalm(0.6, false), (error: BerthError) => error.code === 'busy' && /--force/.test(error.hint ?? ''));
  assertCalm(0.6, true);
  assertCalm(0.1, false);
});
