/** The HTML report of `berth advise` in a real browser: self-contained, safe, usable by everybody, readable on paper. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import axe from 'axe-core';
import { stringify } from 'yaml';
import { adviseFiles } from '../../src/advise/advise-files.ts';
import { reportHtml } from '../../src/advise/report/report-html.ts';
import { Browser } from '../lib/browser.ts';
import { examplePrices } from '../lib/example-prices.ts';

const HOME = path.resolve(import.meta.dirname, '../..');
const HOSTILE = '<script>document.title="taken"</script><img src=x onerror=document.title="taken">"\'`</td></svg>&lt;';
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-report-'));
const file = path.join(dir, 'report.html');
let browser: Browser;

before(() => {
  const estate = path.join(HOME, 'examples/estate');
  const files = fs.readdirSync(estate).filter((name) => name.endsWith('.yaml')).sort().map((name) => ({ name, text: fs.readFileSync(path.join(estate, name), 'utf8') }));
  const hostile = { kind: 'Workload', meta: { name: HOSTILE, owner: HOSTILE, purpose: HOSTILE }, spec: { disasterRecoveryOf: 'shop-db', licences: [{ product: HOSTILE, per: 'core' }], change: { currentHost: HOSTILE }, placement: { notOnHostWith: [HOSTILE, 'erp'] } } };
  const prices = examplePrices();
  const { document } = adviseFiles({
    files: [...files, { name: `${HOSTILE}.yaml`, text: stringify(hostile) }, { name: 'broken.yaml', text: `kind: ${HOSTILE}` }],
    prices: { ...prices, note: HOSTILE, hostTypes: prices.hostTypes.map((type) => ({ ...type, name: `${type.name} ${HOSTILE}`.slice(0, 64) })) }, host: { hardwareVirtualization: true },
  });
  assert.ok(document.workloads.some(({ name }) => name === HOSTILE), JSON.stringify(document.problems));
  fs.writeFileSync(file, reportHtml(document));
  browser = new Browser();
});

after(async () => {
  await browser[Symbol.asyncDispose]();
  fs.rmSync(dir, { recursive: true });
});

test('nothing is loaded, nothing runs, whatever workloads are called', async () => {
  const page = await browser.open(file);
  assert.deepEqual(page.requests, [`file://${file}`]);
  assert.deepEqual(page.complaints, []);
  assert.equal(await page.evaluate('document.querySelectorAll("script, img, iframe, object, embed, link, form, audio, video, base, [onerror], [onload], [src], use, image").length'), 0);
  assert.match(await page.evaluate('document.title'), /^Which form for \d+ workloads – Berth$/);
  assert.ok(await page.evaluate<boolean>(`document.body.innerText.includes(${JSON.stringify(HOSTILE)})`), 'the name is there, as text');
});

test('the page’s own policy would stop what escaping let through', async () => {
  const open = path.join(dir, 'open.html');
  fs.writeFileSync(open, fs.readFileSync(file, 'utf8').replace('<main>', '<main><script>document.title="taken"</script><img src="https://berth.invalid/x.png" alt="">'));
  const page = await browser.open(open);
  assert.notEqual(await page.evaluate('document.title'), 'taken');
  assert.deepEqual(page.requests.filter((url) => !url.startsWith('file:') && !page.stopped.includes(url)), []);
  assert.deepEqual(page.stopped, ['https://berth.invalid/x.png']);
  assert.match(page.complaints.join('\n'), /Content Security Policy/);
});

test('WCAG 2.2 AA, as axe sees it', async () => {
  // So narrow that tables scroll: there is more to look at.
  const page = await browser.open(file, { width: 480 });
  await page.evaluate(`${axe.source}; undefined`);
  const { violations, passes } = await page.evaluate<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[]; passes: string[] }>(
    `axe.run(document, { runOnly: ${JSON.stringify(WCAG)} }).then((result) => ({ violations: result.violations.map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 3).map(({ html, failureSummary }) => ({ html: html.slice(0, 200), failureSummary })) })), passes: result.passes.map(({ id }) => id) }))`,
  );
  assert.deepEqual(violations, []);
  for (const rule of ['color-contrast', 'html-has-lang', 'document-title', 'svg-img-alt', 'heading-order', 'scrollable-region-focusable']) assert.ok(passes.includes(rule), `${rule} found nothing to look at`);
});

test('tables have captions and heads, plots have names and say their numbers', async () => {
  const page = await browser.open(file);
  const wrong = await page.evaluate<string[]>(`[...document.querySelectorAll('table')].filter((table) => !table.caption || [...table.querySelectorAll('tbody tr')].some((row) => !row.querySelector('th[scope=row]')) || [...table.querySelectorAll('thead th')].some((cell) => cell.scope !== 'col')).map((table) => table.outerHTML.slice(0, 200))`);
  assert.deepEqual(wrong, []);
  const plots = await page.evaluate<{ title: string; description: string; bars: number }[]>(`[...document.querySelectorAll('svg')].map((svg) => ({ title: svg.querySelector('title').textContent, description: svg.querySelector('desc').textContent, bars: svg.querySelectorAll('rect').length }))`);
  assert.deepEqual(plots.map(({ title }) => title), ['Cost in a month by scenario, in EUR', 'Density by form, as multiples of VMs', 'What flips: facts that change answers']);
  for (const { description, bars } of plots) assert.ok(bars > 3 && /\d/.test(description));
});

test('the keyboard reaches what scrolls and where links lead, and shows where it is', async () => {
  const page = await browser.open(file);
  await page.send('Input.dispatchKeyEvent', { type: 'keyDown', key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 });
  const first = await page.evaluate<{ text: string; visible: boolean; outline: string }>(`({ text: document.activeElement.textContent, visible: document.activeElement.getBoundingClientRect().left >= 0, outline: getComputedStyle(document.activeElement).outlineStyle })`);
  assert.deepEqual(first, { text: 'Skip to the table of workloads', visible: true, outline: 'solid' });
  assert.deepEqual(await page.evaluate(`[...document.querySelectorAll('a')].filter((link) => !document.getElementById(link.hash.slice(1))).map((link) => link.hash)`), []);
});

test('on a small screen nothing but tables scrolls sideways', async () => {
  const page = await browser.open(file, { width: 320, height: 640 });
  assert.ok(await page.evaluate<number>('document.documentElement.scrollWidth') <= 320);
});

test('without scripts the page says the same', async () => {
  const [plain, scripted] = [await browser.open(file, { scripts: false }), await browser.open(file)];
  // With scripts off the text is read from the tree that the browser built.
  const { root } = await plain.send('DOM.getDocument', { depth: 0 });
  const { outerHTML } = await plain.send('DOM.getOuterHTML', { nodeId: (root as { nodeId: number }).nodeId });
  assert.equal((outerHTML as string).length, await scripted.evaluate<number>('document.documentElement.outerHTML.length + "<!DOCTYPE html>".length'));
});

test('on paper everything fits its page', async () => {
  const page = await browser.open(file);
  const pdf = await page.pdf();
  assert.equal(pdf.subarray(0, 5).toString(), '%PDF-');
  const pages = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)?.length ?? 0;
  assert.ok(pages >= 3 && pages <= 60, `${pages} pages`);
  await page.resize(688, 1000); // A4 less its margins, at 96 dots an inch
  await page.send('Emulation.setEmulatedMedia', { media: 'print' });
  const cut = await page.evaluate<string[]>(`[...document.querySelectorAll('table, svg')].filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map((one) => one.outerHTML.slice(0, 120) + one.getBoundingClientRect().right)`);
  assert.deepEqual(cut, []);
});
