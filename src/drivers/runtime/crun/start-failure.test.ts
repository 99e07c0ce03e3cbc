/** What crun says about a start that failed, in our words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../../../model/errors.ts';
import { startFailure } from './start-failure.ts';

const PROCESS = { args: ['serve'], cwd: '/srv' };
const failed = (said: string, pids?: number): BerthError => startFailure(new BerthError('internal', 'It could not start.', { details: { said } }), PROCESS, pids) as BerthError;

test('a limit on processes is named', () => {
  for (const said of ['clone: Resource temporarily unavailable', 'cannot fork: Resource temporarily unavailable']) {
    const { code, message, hint } = failed(said, 2);
    assert.deepEqual([code, message], ['exhausted', 'It could not be started: the kernel allows no further process (its own limit is 2).']);
    assert.match(hint!, /--pids-limit/);
  }
  assert.match(failed('clone: Resource temporarily unavailable').message, /no further process\.$/);
});

test('a command that is not there, one that cannot be run, a directory that cannot be entered', () => {
  assert.deepEqual([failed('executable file `serve` not found in $PATH').code, failed('open executable: Permission denied').details?.['exitCode']], ['notFound', 126]);
  // crun 1.21
  for (const said of ['the path `/etc/passwd` exists but it is not executable: Operation not permitted', 'the path `/etc` is not a regular file: Operation not permitted', 'cannot open `/etc/passwd/x`: Not a directory']) {
    assert.equal(failed(said).details?.['exitCode'], 126, said);
  }
  assert.equal(failed('executable file `x\n-y` not found in $PATH: No such file or directory').code, 'notFound', 'a command of two lines');
  assert.match(failed('chdir to `/srv`: No such file or directory').message, /'\/srv' cannot be entered/);
});

test('anything else stays as it is', () => {
  const other = new BerthError('internal', 'Odd.', { details: { said: 'mount: Resource temporarily unavailable' } });
  assert.equal(startFailure(other, PROCESS, 2), other);
  const bug = new TypeError('x');
  assert.equal(startFailure(bug, PROCESS), bug);
});
