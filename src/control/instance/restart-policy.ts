/** What happens when an instance ends by itself: what its spec says, else its form. */
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import type { Instance } from '../../model/instance-status.ts';

export function restartPolicy({ spec, status }: Instance): NonNullable<InstanceSpec['restart']> {
  return spec.restart ?? { policy: FORM_DEFAULTS[status.form].restart };
}
