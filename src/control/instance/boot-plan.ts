/** What is made of an OS instance at its first boot. */
import type { BootPlan } from '../../drivers/runtime/driver.ts';
import type { Instance } from '../../model/instance-status.ts';

export function bootPlan(_instance: Instance): BootPlan {
  return { users: [], files: [], commands: [] };
}
