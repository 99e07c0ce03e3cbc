import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SharedWork } from './shared-work.ts';

describe('SharedWork', () => {
  it('does once what many want at once, and again later', async () => {
    const work = new SharedWork<string, number>();
    let count = 0;
    const start = () => Promise.resolve(++count);
    assert.deepEqual(await Promise.all([work.do('a', start), work.do('a', start), work.do('b', start)]), [1, 1, 2]);
    assert.equal(await work.do('a', start), 3);
  });

  it('goes on while one is left, and stops with the last', async () => {
    const work = new SharedWork<string, string>();
    const [first, second] = [new AbortController(), new AbortController()];
    let stopped = false;
    const start = (signal: AbortSignal) => new Promise<string>((_resolve, reject) => {
      signal.addEventListener('abort', () => { stopped = true; reject(new Error('stopped')); });
    });
    const one = work.do('a', start, first.signal), two = work.do('a', start, second.signal);
    first.abort(new Error('first left'));
    await assert.rejects(one, /first left/);
    assert.equal(stopped, false);
    second.abort(new Error('second left'));
    await assert.rejects(two, /second left/);
    assert.equal(stopped, true);
    assert.equal(work.has('a'), false);
  });

  it('tells everybody why it failed, and forgets it', async () => {
    const work = new SharedWork<string, string>();
    const fails = () => Promise.reject(new Error('no'));
    const outcomes = await Promise.allSettled([work.do('a', fails), work.do('a', fails)]);
    assert.deepEqual(outcomes.map((one) => one.status), ['rejected', 'rejected']);
    assert.equal(await work.do('a', () => Promise.resolve('yes')), 'yes');
  });
});
