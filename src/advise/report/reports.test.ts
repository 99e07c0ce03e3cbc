/** What the formats say about one small estate, and that hostile words stay words in each. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { examplePrices } from '../../../test/lib/example-prices.ts';
import { hostileText } from '../../../test/lib/hostile-text.ts';
import { goesRed } from '../../../test/lib/red.ts';
import { adviceText } from '../advice-text.ts';
import { adviseFiles, type AdvisedFiles } from '../advise-files.ts';
import type { Escape } from './html.ts';
import { csv, csvCell, reportCsv } from './report-csv.ts';
import { reportHtml } from './report-html.ts';
import { escaped, reportMarkdown } from './report-markdown.ts';
import { grouped, milliseconds } from './words.ts';

const HOSTILE = '<script>alert(1)</script> | `x` [a](javascript:1) **b**';
const advised = (name: string, withPrices = true): AdvisedFiles => adviseFiles({
  files: [{ name: 'a.yaml', text: stringify({ kind: 'Workload', meta: { name, owner: name, purpose: name }, spec: { replicas: 2, source: { kind: 'image', image: 'x:latest' }, inside: { applications: 1 }, trust: { code: 'own' } } }) }],
  ...(withPrices ? { prices: examplePrices() } : {}), host: { hardwareVirtualization: true },
});

/** RFC 4180, read the other way. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1)!.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'));
    if (end === '\r\n') rows.push([]);
  }
  return rows.slice(0, -1);
}

test('every format says form and cost of a workload', () => {
  const all = advised('web');
  const [head, row] = readCsv(reportCsv(all.document));
  const cell = (title: string): string => row![head!.indexOf(title)]!;
  assert.deepEqual([cell('workload'), cell('form'), cell('currency'), cell('replicas')], ['web', 'app-container', 'EUR', '2']);
  assert.match(cell('monthly_cost'), /^\d+\.\d\d$/);
  assert.ok(reportHtml(all.document).includes(grouped(cell('monthly_cost'))));
  assert.ok(reportMarkdown(all.document).includes(`| web | app container | `));
  assert.deepEqual(parse(adviceText(all, 'yaml').text), JSON.parse(adviceText(all, 'json').text));
  for (const format of ['json', 'yaml', 'markdown', 'html', 'csv', 'manifests'] as const) assert.ok(adviceText(all, format).text.length > 100, format);
});

test('without prices no format speaks of money', () => {
  const { document } = advised('web', false);
  for (const text of [reportHtml(document), reportMarkdown(document)]) assert.doesNotMatch(text, /EUR|What it costs|Example prices/);
  assert.equal(readCsv(reportCsv(document))[1]!.filter((cell) => cell === 'EUR').length, 0);
  assert.match(reportHtml(document), /density-by-form/);
});

test('example prices are called so on top', () => {
  assert.match(reportHtml(advised('web').document), /<strong>Example prices\.<\/strong>/);
  assert.match(reportMarkdown(advised('web').document), /> \*\*Example prices\.\*\*/);
});

test('the same answer gives the same bytes', () => {
  for (const format of ['html', 'markdown', 'csv', 'manifests'] as const) assert.equal(adviceText(advised('web'), format).text, adviceText(advised('web'), format).text);
});

/** E12: what is not ours is text. */
async function isTextInHtml(escape?: Escape): Promise<void> {
  const page = reportHtml(advised(HOSTILE).document, escape);
  assert.match(page, /^<!DOCTYPE html>\n<html lang="en">/);
  assert.doesNotMatch(page, /<script|<img|<link|<iframe|<object|\ssrc=|url\(|@import|\son\w+="/i);
  assert.deepEqual([...page.matchAll(/(?:href|xmlns)="([^"]*)"/g)].map(([, to]) => to!).filter((to) => !to.startsWith('#') && to !== 'http://www.w3.org/2000/svg'), []);
  assert.match(page, /Content-Security-Policy" content="default-src &#39;none&#39;/);
  assert.ok(page.includes('&#60;script&#62;alert(1)&#60;/script&#62;'));
  const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id!);
  assert.equal(new Set(ids).size, ids.length, 'no id twice');
}

test('E12: HTML: one page, no script, nothing from elsewhere, the name as text', () => isTextInHtml());
test('E12: HTML: red without its guard', async () => {
  await goesRed(() => isTextInHtml((text) => text));
  await goesRed(() => isTextInHtml((text) => text.replaceAll('"', '&#34;')));
});

test('markdown: no name becomes markup, a link, a cell or a line', () => {
  const line = reportMarkdown(advised(HOSTILE).document).split('\n').find((one) => one.startsWith('| ') && one.includes('alert'))!;
  assert.doesNotMatch(line, /<script|(?<!\\)`|(?<!\\)\[/);
  assert.equal(line.replaceAll('\\|', '').split('|').length, 9);
  fc.assert(fc.property(hostileText(80), (text) => {
    assert.doesNotMatch(escaped(text), /[\n\r<>]|(?<!\\)(?:\\\\)*[|`*_[\]]/);
  }));
  assert.deepEqual([escaped('- a'), escaped('1. a'), escaped('https://x.example'), escaped('# a')], ['\\- a', '\\1. a', 'https:\\/\\/x.example', '\\# a']);
});

test('CSV: RFC 4180, and no cell that a spreadsheet would run', () => {
  assert.equal(csv([['a,b', 'say "x"', 'two\nlines'], ['plain', '', ' spaced ']]), '"a,b","say ""x""","two\nlines"\r\nplain,," spaced "\r\n');
  for (const formula of ['=1+1', '+1', '-1+1', '@SUM(A1)', '\t=1', ' =1', '|cmd', '%0', '＝1+1', '\r=1', '-', '=cmd|\' /C calc\'!A0']) {
    const cell = readCsv(`${csvCell(formula)},\r\n`)[0]![0]!;
    if (formula === '+1') assert.equal(cell, "'+1");
    assert.equal(cell[0], "'", JSON.stringify(formula));
  }
  for (const number of ['0', '-5.00', '1234.50']) assert.equal(csvCell(number), number);
  fc.assert(fc.property(fc.array(fc.array(hostileText(20), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }), (rows) => {
    const back = readCsv(csv(rows));
    assert.deepEqual(back.map((row) => row.length), rows.map((row) => row.length));
    for (const [r, row] of rows.entries()) for (const [c, value] of row.entries()) assert.ok(back[r]![c] === value || back[r]![c] === `'${value}`);
  }));
  assert.equal(readCsv(reportCsv(advised('=HYPERLINK("https://x.example")').document))[1]![0], '\'=HYPERLINK("https://x.example")');
});

test('numbers are written for people', () => {
  assert.deepEqual(['0.00', '999.50', '1000.00', '1234567.80', '1234567'].map(grouped), ['0.00', '999.50', '1,000.00', '1,234,567.80', '1,234,567']);
  assert.deepEqual([null, 61, 1890, 5_628_200, 60_000_000].map(milliseconds), ['not measured', '61 ms', '1.9 s', '94 min', '16.7 h']);
});

test('the shipped price file says that it is an example', () => {
  const text = fs.readFileSync(path.join(import.meta.dirname, '../../../examples/prices.yaml'), 'utf8');
  assert.match(text, /^# An example/);
  assert.equal(examplePrices().example, true);
});
