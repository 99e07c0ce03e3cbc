/** What one instance of a workload takes of a host: what it asks for, and the overhead of its form as it was measured. */
import type { Figures } from '../../model/figures.ts';
import type { Form } from '../../model/forms.ts';
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import type { ResourceAmounts, Workload } from '../../model/workload.ts';
import type { Resources } from '../packing/resources.ts';

const MIB = 1024 * 1024;
/** For one that says nothing about its CPU; the report says so. */
const ASSUMED_CPUS: Readonly<Record<Form, number>> = { appContainer: 0.25, osContainer: 0.5, microVM: 0.25, vm: 0.5 };

export interface Demand {
  /** Of one instance. */
  readonly size: Resources;
  /** Resources that nothing was said about. */
  readonly assumed: readonly ('cpus' | 'memory' | 'disk')[];
}

/**
 * Containers share what the others do not use, so a request counts; a VM holds its memory, so its peak counts. Where
 * neither was said, the next of limit, peak and mean stands in.
 * @param form undefined: on the host itself, without overhead
 */
export function demandOf({ spec }: Workload, form: Form | undefined, figures: Figures): Demand {
  const { requests = {}, limits = {}, peak = {}, mean = {} } = spec.resources ?? {};
  const first = (key: keyof ResourceAmounts, ...from: readonly ResourceAmounts[]): number | undefined => from.map((amounts) => amounts[key]).find((value) => value !== undefined);
  const isVm = form === 'vm' || form === 'microVM';
  const cpus = first('cpus', requests, peak, limits, mean);
  const held = isVm && requests.memoryBytes !== undefined && peak.memoryBytes !== undefined ? Math.max(requests.memoryBytes, peak.memoryBytes) : undefined;
  const memory = held ?? (isVm ? first('memoryBytes', peak, requests, limits, mean) : first('memoryBytes', requests, peak, limits, mean));
  const state = spec.state?.bytes;
  const asked = first('diskBytes', requests, peak, limits, mean);
  const disk = asked === undefined && state === undefined ? (spec.state?.kind === 'none' ? 0 : undefined) : Math.max(asked ?? 0, state ?? 0);
  const overhead = form === undefined ? {} : figures.forms[form] ?? {};
  return {
    size: {
      cpuMilli: Math.ceil(((cpus ?? ASSUMED_CPUS[form ?? 'appContainer']) + (overhead.idleCpu?.value ?? 0)) * 1000 - 1e-6),
      memoryMiB: Math.ceil(((memory ?? FORM_DEFAULTS[form ?? 'appContainer'].memoryBytes) + (overhead.memoryOverheadBytes?.value ?? 0)) / MIB),
      diskMiB: Math.ceil(((disk ?? 0) + (overhead.diskBytes?.value ?? 0)) / MIB),
      instances: 1,
    },
    assumed: [...(cpus === undefined ? ['cpus' as const] : []), ...(memory === undefined ? ['memory' as const] : []), ...(disk === undefined ? ['disk' as const] : [])],
  };
}
