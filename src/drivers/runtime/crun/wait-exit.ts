/** The exit record as soon as it is there, and “unknown” when it never will be. */
import { BerthError } from '../../../model/errors.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { ExitRecord } from '../driver.ts';
import type { CrunHost } from './crun-host.ts';
import { exitRecord, observeUnit } from './observe-unit.ts';

/** A unit whose monitor was killed leaves no record: its end is found by looking. */
const LOOK_MS = 1_000;

export async function waitExit(host: CrunHost, id: ObjectId, signal: AbortSignal | undefined, unsupervised?: () => void): Promise<ExitRecord> {
  const seen = await observeUnit(host, id);
  if (seen.state === 'exited') return seen.exit;
  if (seen.state === 'absent') throw new BerthError('notFound', `There is no container of ${id}.`);
  const done = new AbortController();
  const unknown = Promise.withResolvers<ExitRecord>();
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void observeUnit(host, id).then((now) => {
      looking = false;
      if (now.state === 'unsupervised') unsupervised?.();
      if (now.state === 'exited') unknown.resolve(now.exit);
      // Removed under our eyes: its record was there and is gone.
      if (now.state === 'absent') unknown.resolve({ exitCode: undefined, reason: 'unknown', finishedAtMs: Date.now() });
    }, unknown.reject);
  }, LOOK_MS);
  const stop = signal === undefined ? done.signal : AbortSignal.any([signal, done.signal]);
  const recorded = host.exits.wait(id, stop).then((exit): ExitRecord => exitRecord(host, id) ?? { exitCode: exit.exitCode, finishedAtMs: exit.finishedAtMs, reason: exit.exitCode > 128 ? 'killed' : 'exited' });
  try {
    return await Promise.race([recorded, unknown.promise]);
  } finally {
    clearInterval(timer);
    done.abort();
    recorded.catch(() => undefined);
  }
}
