/** Which fields of a running instance have their new value only from its next start on: one sentence among its warnings. */
import type { Instance } from '../../model/instance-status.ts';

const PENDING = ' will change at the next start.';

/** `settled` have their wished value now, `waiting` do not; what waited before waits on. */
export function withWaiting(instance: Instance, settled: readonly string[], waiting: readonly string[]): Instance {
  const { warnings = [], ...status } = instance.status;
  const before = warnings.filter((one) => one.endsWith(PENDING)).flatMap((one) => one.slice(0, -PENDING.length).split(', '));
  const fields = [...new Set([...before.filter((one) => !settled.includes(one)), ...waiting])];
  const rest = [...warnings.filter((one) => !one.endsWith(PENDING)), ...(fields.length === 0 ? [] : [`${fields.join(', ')}${PENDING}`])];
  return { ...instance, status: { ...status, ...(fields.length === 0 ? { observedGeneration: instance.meta.generation } : {}), ...(rest.length === 0 ? {} : { warnings: rest }) } };
}
