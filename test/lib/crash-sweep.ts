/**
 * Kills the (fake) daemon before and after every single call that a verb makes to the outside, opens the next daemon on
 * what is left, and asks whether that is a state that somebody can go on from.
 */
import type { Control } from '../../src/control/control.ts';
import { deleteInstance } from '../../src/control/instance/delete.ts';
import type { Instance } from '../../src/model/instance-status.ts';
import { assertConsistent, assertEmpty } from './consistency.ts';
import { ended, FakeWorld, ROOT } from './fake-control.ts';
import { Life, type OutsideCall } from './mortal.ts';
import { settle } from './test-clock.ts';

export interface SweepCase {
  readonly name: string;
  /** Makes what the verb works on; the daemon that does it lives. */
  readonly prepare?: ((world: FakeWorld) => Promise<void>) | undefined;
  /** The verb, on the daemon that dies in it. */
  readonly run: (world: FakeWorld) => Promise<unknown>;
  /** What the next daemon must have made of it; throws when it is something else. */
  readonly expect?: ((world: FakeWorld, died: string) => void | Promise<void>) | undefined;
  /** Asks for the same again: must succeed. */
  readonly retry?: ((world: FakeWorld) => Promise<unknown>) | undefined;
}

/** Every call of the verb, by name: what a death is named after. */
export async function callsOf(one: SweepCase): Promise<string[]> {
  const calls: string[] = [];
  await using world = await prepared(one);
  const life = new Life();
  await world.reopen({ life });
  await settle();
  life.before = (call) => { calls.push(nameOf(call)); };
  await one.run(world);
  await settle();
  return [...calls]; // what the end of the daemon calls comes after this
}

async function prepared(one: SweepCase): Promise<FakeWorld> {
  const world = await FakeWorld.open();
  await one.prepare?.(world);
  return world;
}

function nameOf({ on, method }: OutsideCall): string {
  return `${on}.${method}`;
}

/** Resolves to how many deaths were died. */
export async function sweepCrashes(one: SweepCase): Promise<number> {
  const calls = await callsOf(one);
  for (const [index, call] of calls.entries()) {
    for (const moment of ['before', 'after'] as const) {
      const died = `${one.name}: killed ${moment} call ${index + 1} of ${calls.length} (${call})`;
      await withCause(died, () => dieAt(one, index, moment, died));
    }
  }
  return calls.length * 2;
}

async function dieAt(one: SweepCase, index: number, moment: 'before' | 'after', died: string): Promise<void> {
  await using world = await prepared(one);
  const life = new Life();
  await world.reopen({ life });
  await settle();
  armAt(life, index, moment);
  await Promise.race([one.run(world).then(settle, settle), life.died]);
  await world.reopen();
  await settle();
  await one.expect?.(world, died);
  await assertConsistent(world);
  await one.retry?.(world);
  await settle();
  await assertConsistent(world);
  await removeAll(world);
  await assertEmpty(world);
}

export function armAt(life: Life, index: number, moment: 'before' | 'after'): void {
  let count = -1;
  const armed = new WeakSet<OutsideCall>();
  life.before = (call) => {
    count++;
    if (count !== index) return;
    if (moment === 'before') life.end();
    else armed.add(call);
  };
  life.after = (call) => { if (armed.has(call)) life.end(); };
}

/** The next daemon dies as well, at every call of its opening; the one after that must find its way. */
export async function sweepRecoveryCrashes(one: SweepCase, firstDeaths: (calls: readonly string[]) => readonly number[]): Promise<number> {
  const calls = await callsOf(one);
  let deaths = 0;
  for (const index of firstDeaths(calls)) {
    for (let second = 0; ; second++) {
      const died = `${one.name}: killed after call ${index + 1} (${calls[index]}), then at call ${second + 1} of the next daemon`;
      const reached = await withCause(died, async () => {
        await using world = await prepared(one);
        const life = new Life();
        await world.reopen({ life });
        await settle();
        armAt(life, index, 'after');
        await Promise.race([one.run(world).then(settle, settle), life.died]);
        const next = new Life();
        armAt(next, second, 'after');
        const survived = await world.reopen({ life: next });
        await settle();
        const hit = !survived || next.isOver;
        await world.reopen();
        await settle();
        await one.expect?.(world, died);
        await assertConsistent(world);
        await removeAll(world);
        await assertEmpty(world);
        return hit;
      });
      if (!reached) break;
      deaths++;
    }
  }
  return deaths;
}

export async function removeAll(world: FakeWorld): Promise<void> {
  const { services }: Control = world.control;
  for (const instance of services.registry.list<Instance>('Instance')) await ended(deleteInstance(services, ROOT, instance, true));
  await settle();
}

async function withCause<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Error(`${what}: ${(cause as Error).message}`, { cause });
  }
}
