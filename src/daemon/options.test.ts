import assert from 'node:assert/strict';
import test from 'node:test';
import { BerthError } from '../model/errors.ts';
import { parseDaemonOptions } from './options.ts';

test('how microVMs start is said by a word or by the environment, the word first', () => {
  const warmStart = (args: readonly string[], env = {}): string => parseDaemonOptions(args, env).warmStart;
  assert.equal(warmStart(['--warm-start', 'off'], { BERTH_WARM_START: 'shared' }), 'off');
  assert.equal(warmStart([], { BERTH_WARM_START: 'shared' }), 'shared');
  for (const wrong of ['on', '', 'Off\u001b[2J']) {
    assert.throws(() => parseDaemonOptions([], { BERTH_WARM_START: wrong }), (error: unknown) => error instanceof BerthError && error.code === 'invalid' && !error.message.includes('\u001b'));
  }
});
