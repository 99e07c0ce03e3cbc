/** Whether what ended by itself is started again, and when. */
import type { ExitRecord } from '../../drivers/runtime/driver.ts';
import { FIRST_BACKOFF_MS, FREE_REBOOTS, MAX_BACKOFF_MS } from '../../lib/backoff.ts';
import type { Instance } from '../../model/instance-status.ts';
import { restartPolicy } from './restart-policy.ts';

/** In ms; undefined: it stays stopped. `failed`: it did not end well. */
export type PauseRule = (instance: Instance, failed: boolean, reason?: ExitRecord['reason']) => number | undefined;

/** `status.restarts` and `status.reboots` are those before this start. */
export const pauseBefore: PauseRule = (instance, failed, reason) => {
  const { policy, maxRetries } = restartPolicy(instance);
  // A system that restarts itself comes back, whatever the policy; one that powered itself off was asked to be off.
  if (reason === 'poweroff' || instance.spec.running === false) return undefined;
  const most = policy === 'on-failure' ? maxRetries ?? Infinity : Infinity;
  if (reason === 'reboot') {
    const looped = (instance.status.reboots ?? 0) - FREE_REBOOTS;
    if (looped > most) return undefined;
    return looped <= 0 ? 0 : growing(looped - 1);
  }
  const again = policy === 'always' || policy === 'unless-stopped' || (policy === 'on-failure' && failed);
  const { restarts } = instance.status;
  return again && restarts < most ? growing(restarts) : undefined;
};

function growing(times: number): number {
  return Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(times, 16));
}
