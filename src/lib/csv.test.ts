import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCsv } from './csv.ts';

test('quotes, separators and ends of lines as tools write them', () => {
  for (const text of ['a,b\n1,"x, ""y"""\n', '\ufeffa;b\r\n1;"x, ""y"""', 'a\tb\n1\t"x, ""y"""\n\n']) {
    const { header, rows, problems } = parseCsv(text);
    assert.deepEqual(header?.cells, ['a', 'b']);
    assert.deepEqual(rows, [{ line: 2, cells: ['1', 'x, "y"'] }]);
    assert.deepEqual(problems, []);
  }
});

test('a cell with line feeds moves the lines of what follows', () => {
  const { rows } = parseCsv('a,b\n1,"x\ny"\n2,z\n');
  assert.deepEqual(rows.map((row) => row.line), [2, 4]);
});

test('a broken row is said with its line, and the rest is read', () => {
  const { rows, problems } = parseCsv('a,b\n1,"x\n2,y\n3,"p"q\n4,z\n');
  assert.deepEqual(problems.map((one) => one.line), [2, 4]);
  assert.deepEqual(rows.map((row) => row.cells), [['2', 'y'], ['4', 'z']]);
});

test('nothing that is not bounded', () => {
  assert.match(parseCsv(`a,b\n${'"'.repeat(3)}${'x'.repeat(40_000)}\n`).problems[0]!.message, /not closed/);
  assert.match(parseCsv(`a\n${','.repeat(600)}\n1\n`).problems[0]!.message, /columns/);
  const broken = parseCsv(`a,b\n${'1,"x\n'.repeat(300_000)}`);
  assert.match(broken.problems.at(-1)!.message, /too many broken rows/);
});
