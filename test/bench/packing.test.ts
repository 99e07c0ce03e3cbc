/** Ten thousand instances onto hosts: near the bound, in seconds, and twice as many take about twice as long. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/host/run.ts';

const MOST_MS = 10_000;
/** 1 is linear; measured between 2,500 and 10,000, in processor time. */
const MOST_GROWTH = 1.6;

interface Figure {
  readonly set: string;
  readonly instances: number;
  readonly hosts: number;
  readonly bound: number;
  readonly near: boolean;
  readonly cpuMs: number;
}

test('packing is near its bound, fast, and grows about linearly', async (t) => {
  const sets = ['mixed estate', 'groups of copies apart', 'medium, 2 resources, 10–40 %'];
  const { stdout } = await run(process.execPath, [path.join(import.meta.dirname, 'packing.ts'), '10000', ...sets], { timeoutMs: 300_000 });
  const figures = stdout.split('\n').filter((line) => line.startsWith('{') && line.includes('"near"')).map((line) => JSON.parse(line) as Figure);
  assert.equal(figures.length, sets.length * 6);
  for (const figure of figures) {
    if (figure.instances === 10_000) t.diagnostic(JSON.stringify(figure));
    assert.ok(figure.hosts >= figure.bound && figure.near, JSON.stringify(figure));
    assert.ok(figure.cpuMs < MOST_MS, JSON.stringify(figure));
  }
  const time = (count: number): number => figures.filter(({ instances }) => instances === count).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  const growth = Math.log(time(10_000) / time(2500)) / Math.log(4);
  assert.ok(growth < MOST_GROWTH, `grows with the power ${growth.toFixed(2)}`);
});
