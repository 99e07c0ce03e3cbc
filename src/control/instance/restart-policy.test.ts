import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertConsistent, assertEmpty } from '../../../test/lib/consistency.ts';
import { ended, FakeWorld, ROOT } from '../../../test/lib/fake-control.ts';
import { settle } from '../../../test/lib/test-clock.ts';
import type { InstanceState } from '../../model/instance-status.ts';
import { killInstance } from './lifecycle.ts';
import { startInstance } from './start.ts';
import { stopInstance } from './stop.ts';
import { updateInstance } from './update.ts';

const YEARS_MS = 10 * 365.25 * 24 * 3600 * 1000;

const state = (world: FakeWorld): InstanceState => world.get('web').status.state;

/** Ends the workload by itself, as its command says. */
async function end(world: FakeWorld): Promise<void> {
  world.unit('web')!.process.signal('SIGTERM');
  await settle();
}

/** How long the back-off is that just began. */
function pauseMs(world: FakeWorld): number {
  return Date.parse(world.get('web').status.retryAt!) - world.clock.nowMs();
}

const crashing = (policy: string, maxRetries?: number, code = 1) => ({ command: ['graceful', String(code)], restart: { policy, ...(maxRetries === undefined ? {} : { maxRetries }) } });

describe('restart policies', () => {
  for (const [policy, code, expected] of [
    ['no', 0, 'stopped'], ['no', 1, 'stopped'], ['on-failure', 0, 'stopped'], ['on-failure', 1, 'backoff'],
    ['always', 0, 'backoff'], ['always', 1, 'backoff'], ['unless-stopped', 0, 'backoff'], ['unless-stopped', 1, 'backoff'],
  ] as const) {
    it(`${policy}, exit code ${code}: ${expected}`, async () => {
      await using world = await FakeWorld.open();
      await world.run('web', crashing(policy, undefined, code));
      await end(world);
      const { status } = world.get('web');
      assert.deepEqual([status.state, status.exitCode, status.reason, status.pid], [expected, code, 'exited', undefined]);
      await assertConsistent(world);
      await world.clock.advance(100);
      assert.equal(state(world), expected === 'backoff' ? 'running' : 'stopped');
      await assertConsistent(world);
    });
  }

  it('pauses grow from 100 ms to a minute, and the retry comes at its moment', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('always'));
    for (let round = 0; round < 12; round++) {
      await end(world);
      const expected = Math.min(60_000, 100 * 2 ** round);
      assert.equal(pauseMs(world), expected, `round ${round}`);
      await world.clock.advance(expected - 1);
      assert.equal(state(world), 'backoff');
      await world.clock.advance(1);
      assert.equal(state(world), 'running');
      assert.equal(world.get('web').status.restarts, round + 1);
    }
    await assertConsistent(world);
  });

  it('whoever ran ten seconds counts anew, and stays anew', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('always'));
    for (const expected of [100, 200, 400]) {
      await end(world);
      assert.equal(pauseMs(world), expected);
      await world.clock.advance(expected);
    }
    await world.clock.advance(9_999);
    await end(world);
    assert.equal(pauseMs(world), 800, 'a moment too short');
    await world.clock.advance(800 + 10_000);
    for (const expected of [100, 200]) {
      await end(world);
      assert.equal(pauseMs(world), expected);
      await world.clock.advance(expected);
    }
  });

  it('on-failure:N tries N times, then rests; a steady run gives the tries back', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('on-failure', 2));
    for (let round = 0; round < 2; round++) {
      await end(world);
      await world.clock.advance(pauseMs(world));
      assert.equal(state(world), 'running');
    }
    await world.clock.advance(10_000);
    for (let round = 0; round < 2; round++) {
      await end(world);
      await world.clock.advance(pauseMs(world));
    }
    await end(world);
    assert.deepEqual([state(world), world.get('web').status.exitCode], ['stopped', 1]);
  });

  it('out of memory counts as a failure and says so', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', { command: ['oom'], restart: { policy: 'on-failure' } });
    await settle();
    assert.deepEqual([state(world), world.get('web').status.reason], ['backoff', 'oom']);
    const { items } = await world.services.registry.records('Event');
    assert.ok(items.some((event) => (event.spec as { type: string }).type === 'instance.oom'));
  });

  for (const policy of ['always', 'unless-stopped', 'on-failure']) {
    it(`a stop by a person wins over ${policy}: while it runs, in back-off, and over a timer that has fired already`, async () => {
      await using world = await FakeWorld.open();
      await world.run('web', crashing(policy));
      await ended(stopInstance(world.services, ROOT, world.get('web')));
      await world.clock.advance(120_000);
      assert.deepEqual([state(world), world.get('web').status.stoppedByUser], ['stopped', true]);

      await ended(startInstance(world.services, ROOT, world.get('web')));
      await end(world);
      await ended(stopInstance(world.services, ROOT, world.get('web')));
      assert.deepEqual([state(world), world.get('web').status.exitCode], ['stopped', 1], 'how it ended is not forgotten');
      await world.clock.advance(120_000);
      assert.equal(state(world), 'stopped');

      await ended(startInstance(world.services, ROOT, world.get('web')));
      await end(world);
      const release = await world.services.locks.acquire(world.get('web').meta.id, 'test');
      const stop = ended(stopInstance(world.services, ROOT, world.get('web')));
      await world.clock.advance(pauseMs(world) + 1);
      release();
      await stop;
      await world.clock.advance(120_000);
      assert.equal(state(world), 'stopped');
      await assertConsistent(world);
    });
  }

  it('a start by a person cuts the back-off short', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('always'));
    await end(world);
    await ended(startInstance(world.services, ROOT, world.get('web')));
    assert.deepEqual([state(world), world.get('web').status.restarts], ['running', 0]);
    const { pid } = world.get('web').status;
    await world.clock.advance(60_000);
    assert.equal(world.get('web').status.pid, pid, 'the timer does not start it again');
  });

  it('a restart that cannot begin is tried again; one that a person asked for is not', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('always'));
    world.facts = { ...world.facts, memoryAvailableBytes: 0 };
    await end(world);
    await world.clock.advance(100);
    assert.deepEqual([state(world), world.get('web').status.error?.code], ['backoff', 'exhausted']);
    await assertConsistent(world);
    world.facts = { ...world.facts, memoryAvailableBytes: 12 * 1024 ** 3 };
    await world.clock.advance(60_000);
    assert.deepEqual([state(world), world.get('web').status.error], ['running', undefined]);
    await ended(stopInstance(world.services, ROOT, world.get('web')));
    world.facts = { ...world.facts, memoryAvailableBytes: 0 };
    await assert.rejects(ended(startInstance(world.services, ROOT, world.get('web'))), { code: 'exhausted' });
    await world.clock.advance(60_000);
    assert.equal(state(world), 'failed');
    await assertConsistent(world);
  });

  it('the policy may be changed while it runs', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('no'));
    await updateInstance(world.services, ROOT, world.get('web'), { spec: { restart: { policy: 'always' } } });
    await end(world);
    assert.equal(state(world), 'backoff');
  });

  it('a clock that is set ten years back or forth changes no pause and no count', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('always'));
    for (const [round, jump] of [YEARS_MS, -2 * YEARS_MS, YEARS_MS, YEARS_MS, -YEARS_MS].entries()) {
      world.clock.jump(jump);
      await end(world);
      assert.equal(pauseMs(world), 100 * 2 ** round, `round ${round}`);
      world.clock.jump(-jump);
      await world.clock.advance(100 * 2 ** round);
      assert.equal(state(world), 'running');
    }
  });

  it('a back-off is over within its longest pause, also for a daemon that wakes up ten years earlier or later', async () => {
    for (const jump of [YEARS_MS, -YEARS_MS]) {
      await using world = await FakeWorld.open();
      await world.run('web', crashing('always'));
      await end(world);
      world.kill();
      world.clock.jump(jump);
      await world.reopen();
      assert.equal(state(world), 'backoff');
      await world.clock.advance(60_000);
      assert.equal(state(world), 'running');
    }
  });

  it('events come in the order in which things happened, whatever the clock says', async () => {
    await using world = await FakeWorld.open();
    await world.run('web', crashing('always'));
    for (const jump of [-YEARS_MS, 2 * YEARS_MS, -YEARS_MS]) {
      world.clock.jump(jump);
      await end(world);
      await world.clock.advance(1000);
    }
    const { items } = await world.services.registry.records<{ spec: { type: string } } & never>('Event');
    const types = items.map((event: { spec: { type: string } }) => event.spec.type).filter((type) => type.startsWith('instance.'));
    assert.deepEqual(types, ['instance.started', ...Array.from({ length: 3 }, () => ['instance.exited', 'instance.started']).flat()]);
  });
});

describe('--rm', () => {
  it('is gone when it ends by itself, and who waited knows the code', async () => {
    const { waitInstance } = await import('./wait.ts');
    await using world = await FakeWorld.open();
    const made = await world.run('web', { command: ['graceful', '7'], removeOnExit: true });
    const waits = [['stopped'], ['removed'], ['stopped', 'failed', 'removed']].map((states) => waitInstance(world.services, made, states, 60_000, new AbortController().signal));
    await end(world);
    for (const wait of waits) assert.deepEqual(await wait, { state: 'removed', exitCode: 7, reason: 'exited' });
    await assertEmpty(world);
  });

  it('is gone when it is stopped', async () => {
    await using world = await FakeWorld.open();
    const made = await world.run('web', { command: ['graceful', '0'], removeOnExit: true });
    await ended(stopInstance(world.services, ROOT, made));
    await settle();
    await assertEmpty(world);
  });

  it('that cannot be removed is failed, not forgotten; the next daemon and a forced delete get on with it', async () => {
    const { deleteInstance } = await import('./delete.ts');
    const { Life } = await import('../../../test/lib/mortal.ts');
    for (const byStop of [true, false]) {
      const life = new Life();
      await using world = await FakeWorld.open({ life });
      const made = await world.run('web', { command: ['graceful', '0'], removeOnExit: true });
      life.before = ({ method }) => { if (method === 'removeRoot') throw Object.assign(new Error('EIO: a test'), { code: 'EIO' }); };
      if (byStop) await ended(stopInstance(world.services, ROOT, made));
      else await killInstance(world.services, ROOT, made, 'SIGTERM');
      await settle();
      assert.deepEqual([state(world), world.get('web').status.error?.code], ['failed', 'internal']);
      life.before = () => undefined;
      await ended(deleteInstance(world.services, ROOT, world.get('web'), false));
      await assertEmpty(world);
    }
  });
});
