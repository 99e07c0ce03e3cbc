import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LayerProgress } from '../model/layer-progress.ts';
import { layerBlock, layerChanges } from './layer-lines.ts';

const MIB = 1024 * 1024;
const layer = (id: string, state: LayerProgress['state'], bytes = 0, totalBytes = 40.1 * MIB): LayerProgress => ({ digest: `sha256:${id.repeat(64)}`, state, bytes, totalBytes });

describe('layers on a terminal', () => {
  it('have a line each: waiting, how much of what, verifying, unpacking, done', () => {
    const layers = [layer('a', 'waiting'), layer('b', 'moving', 12.3 * MIB), layer('c', 'verifying'), layer('d', 'unpacking'), layer('e', 'done'), layer('f', 'present'), layer('0', 'moving', 5, 9)];
    assert.deepEqual(layerBlock('image.pull x', layers, { rows: 24, columns: 80 }), [
      'image.pull x  2 of 7 layers', '  aaaaaaaaaaaa  waiting 40.1MiB', '  bbbbbbbbbbbb  ██████░░░░░░░░░░░░░░ 12.3/40.1MiB', '  cccccccccccc  verifying', '  dddddddddddd  unpacking', '  eeeeeeeeeeee  done 40.1MiB', '  ffffffffffff  already there 40.1MiB', '  000000000000  ███████████░░░░░░░░░ 5/9B',
    ]);
  });

  it('never are more lines than the terminal has, nor wider', () => {
    const many = Array.from({ length: 100 }, (_, i) => layer(String(i % 10), i < 50 ? 'done' : 'moving', 1));
    const lines = layerBlock('x'.repeat(200), many, { rows: 10, columns: 30 });
    assert.equal(lines.length, 8);
    assert.equal(lines.at(-1), '  and 94 more');
    assert.ok(lines.every((line) => line.length < 30) && lines.slice(1, -1).every((line) => line.includes('░')));
  });

  it('show nothing that moves the cursor', () => {
    const [, line] = layerBlock('t', [{ ...layer('a', 'waiting'), digest: '\x1b[2Jevil' }], { rows: 24, columns: 80 });
    assert.ok(!line!.includes('\x1b'));
  });
});

describe('layers in a log', () => {
  it('have a line for each change', () => {
    const told = new Map<string, LayerProgress['state']>();
    assert.deepEqual(layerChanges(told, [layer('a', 'waiting'), layer('b', 'present')]), ['aaaaaaaaaaaa: waiting 40.1MiB', 'bbbbbbbbbbbb: already there 40.1MiB']);
    assert.deepEqual(layerChanges(told, [layer('a', 'moving', 1), layer('b', 'present')]), ['aaaaaaaaaaaa: moving 40.1MiB']);
    assert.deepEqual(layerChanges(told, [layer('a', 'moving', 2)]), []);
    assert.deepEqual(layerChanges(told, [layer('a', 'unpacking', 2)]), ['aaaaaaaaaaaa: unpacking']);
  });
});
