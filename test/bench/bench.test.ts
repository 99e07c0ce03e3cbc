/** The benchmarks run and print what they promise. Small counts: the figures that are compared come from `npm run bench`. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/host/run.ts';

const SMALL = { ROUNDS: '5', MANY: '16', SCALE: '24', SYSTEMS: '2', SLOPE: '2' };

test('the benchmark prints a line of JSON for each figure', async (t) => {
  const { stdout } = await run(process.execPath, [path.join(import.meta.dirname, 'main.ts'), 'cli', 'api', 'exec', 'many', 'list', 'containers'], { env: { ...SMALL, HOME: '/root' }, timeoutMs: 600_000 });
  const figures = stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.ok(figures.length >= 5, stdout);
  // Far off its floor, it would be the measuring that is wrong.
  const ratio = (wanted: string) => Number(figures.find(({ what }) => what === wanted)?.['ratio']);
  for (const what of ['app container: request until it answers', 'app container: exec true, API']) assert.ok(ratio(what) > 0.2 && ratio(what) < 20, `${what}: ${ratio(what)} ×`);
  for (const { what, ...rest } of figures) {
    t.diagnostic(JSON.stringify({ what, ...rest }));
    assert.equal(typeof what, 'string');
    if (typeof rest['without'] === 'string') continue; // a peer that is not installed
    assert.ok(Object.values(rest).some((value) => typeof value === 'number' && value > 0), String(what));
  }
});
