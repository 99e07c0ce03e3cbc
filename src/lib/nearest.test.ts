import assert from 'node:assert/strict';
import { it } from 'node:test';
import { editDistance, nearest } from './nearest.ts';

const VERBS = ['run', 'create', 'start', 'stop', 'restart', 'list', 'logs', 'image', 'network', '--publish', '--memory'];

it('finds what was meant', () => {
  const cases: [string, string | undefined][] = [
    ['strat', 'start'], ['sart', 'start'], ['STOP', 'stop'], ['netwrok', 'network'], ['lst', 'list'], ['--publsh', '--publish'],
    ['--mem', '--memory'], ['net', 'network'], ['xyz', undefined], ['', undefined], ['frobnicate', undefined], ['q'.repeat(1000), undefined],
  ];
  for (const [word, expected] of cases) assert.equal(nearest(word, VERBS), expected, word);
});

it('counts a swap of neighbours as one step', () => {
  assert.deepEqual([editDistance('ab', 'ba'), editDistance('', 'abc'), editDistance('kitten', 'sitting'), editDistance('same', 'same')], [1, 3, 3, 0]);
});
