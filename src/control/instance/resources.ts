/** What of the host an instance may use, resolved: the spec over the defaults of its form. */
import type { ResourcePlan } from '../../drivers/runtime/driver.ts';
import type { Form } from '../../model/forms.ts';
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import type { InstanceSpec } from '../../model/instance.ts';

/** Fields of the spec by the limit that they set: a change of them reaches what runs. */
export const RESOURCE_FIELDS = ['memoryBytes', 'cpus', 'cpuWeight', 'pids'] as const satisfies readonly (keyof ResourcePlan & keyof InstanceSpec)[];

export function resourcePlan(spec: InstanceSpec, form: Form): ResourcePlan {
  const defaults = FORM_DEFAULTS[form];
  return {
    memoryBytes: spec.memoryBytes ?? defaults.memoryBytes,
    cpus: spec.cpus ?? defaults.cpus,
    cpuWeight: spec.cpuWeight ?? defaults.cpuWeight,
    pids: spec.pids ?? defaults.pids,
  };
}
