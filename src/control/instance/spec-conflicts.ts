/** Fields of a spec that are each right and cannot both be true. */
import { BerthError } from '../../model/errors.ts';
import type { InstanceSpec } from '../../model/instance.ts';

/** @throws invalid when one field would silently undo another. */
export function assertNoConflicts(spec: InstanceSpec): void {
  const policy = spec.restart?.policy ?? 'no';
  if (spec.removeOnExit === true && policy !== 'no') {
    throw new BerthError('invalid', `What is deleted when it ends cannot be restarted by the policy '${policy}'.`, { hint: 'Leave out --rm or --restart.', fields: [{ path: 'spec.restart.policy', message: 'conflicts with removeOnExit' }] });
  }
  const taken = new Set<string>();
  for (const [field, mounts] of [['volumes', spec.volumes ?? []], ['tmpfs', spec.tmpfs ?? []]] as const) {
    for (const [index, { target }] of mounts.entries()) {
      const clean = `/${target.split('/').filter((part) => part !== '').join('/')}`;
      // The later mount would hide the earlier one, and what is written would lie elsewhere than the spec says.
      if (taken.has(clean)) throw new BerthError('invalid', `Two mounts have the directory ${clean}.`, { hint: 'Give each volume and each tmpfs a directory of its own.', fields: [{ path: `spec.${field}.${index}.target`, message: 'taken by another mount' }] });
      taken.add(clean);
    }
  }
}
