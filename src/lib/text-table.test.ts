import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { displayWidth, textTable, truncate } from './text-table.ts';

const COLUMNS = [{ title: 'NAME' }, { title: 'MEMORY', align: 'right' }, { title: 'IMAGE' }] as const;

it('aligns text to the left, numbers to the right, and leaves no blanks at the end', () => {
  assert.equal(textTable(COLUMNS, [['web1', '12', 'nginx'], ['a', '1024', '']]), [
    'NAME  MEMORY  IMAGE',
    'web1      12  nginx',
    'a       1024',
    '',
  ].join('\n'));
});

it('cuts the widest text first, then numbers, and last what tells the rows apart', () => {
  const drawn = (width: number): string[] => textTable(COLUMNS, [['a-rather-long-name', '1048576', 'registry.example/some/image:tag']], { width }).trimEnd().split('\n');
  assert.deepEqual(drawn(40), ['NAME                 MEMORY  IMAGE', 'a-rather-long-name  1048576  registry.e…']);
  assert.deepEqual(drawn(30), ['NAME                MEM…  IMA…', 'a-rather-long-name  104…  reg…']);
  assert.deepEqual(drawn(24), ['NAME          MEM…  IMA…', 'a-rather-lo…  104…  reg…']);
  for (const width of [40, 30, 24]) for (const line of drawn(width)) assert.ok(displayWidth(line) <= width);
});

it('counts the cells that a terminal uses', () => {
  const cases: [string, number][] = [['abc', 3], ['日本', 4], ['é', 1], ['e\u0301', 1], ['😀', 2], ['👩‍👩‍👧', 2], ['한글', 4], ['ｆｕｌｌ', 8], ['', 0], ['…', 1], ['✓', 1], ['❤️', 2]];
  for (const [text, width] of cases) assert.equal(displayWidth(text), width, text);
  assert.deepEqual([truncate('日本語', 4), truncate('日本語', 6), truncate('abcdef', 3), truncate('abc', 0)], ['日…', '日本語', 'ab…', '']);
  assert.equal(textTable([{ title: 'A' }, { title: 'B' }], [['日本', 'x'], ['abc', 'y']]), 'A     B\n日本  x\nabc   y\n');
});

it('lets no cell act on the terminal or break the line', () => {
  assert.equal(textTable([{ title: 'A' }], [['x\x1b[2J\ny\x07']]), 'A\nx y\n');
});

it('never makes a line wider than asked', () => {
  const cell = fc.oneof(fc.string({ maxLength: 30 }), fc.string({ unit: 'grapheme', maxLength: 20 }));
  fc.assert(fc.property(fc.array(fc.tuple(cell, cell, cell), { maxLength: 5 }), fc.integer({ min: 1, max: 80 }), (rows, width) => {
    for (const line of textTable(COLUMNS, rows, { width }).split('\n')) assert.ok(displayWidth(line) <= width, JSON.stringify(line));
  }));
});
