/** Workloads at random, for property tests: every field that a constraint or a criterion reads, known or unknown. */
import type { Workload } from '../../src/model/workload.ts';
import { DOMAINS, withFact } from '../../src/advise/domains.ts';

/** Fields that the search for small changes does not touch. */
const MORE: readonly { readonly field: string; readonly values: readonly unknown[] }[] = [
  { field: 'replicasMax', values: [1, 20, 500] },
  { field: 'source.kind', values: ['image', 'packages', 'diskImage', 'name'] },
  { field: 'inside.oneCommand', values: [true, false] },
  { field: 'state.ownPerReplica', values: [true, false] },
  { field: 'os.unsupported', values: [true, false] },
  { field: 'os.kernelVersion', values: ['2.6.18'] },
  { field: 'privileges.capabilities', values: [[], ['NET_ADMIN'], ['SYS_MODULE'], ['BPF', 'PERFMON']] },
  { field: 'privileges.hostPaths', values: [[{ path: '/' }], [{ path: '/srv/data' }], [{ path: '/proc', readOnly: true }, { path: '/srv/a' }]] },
  { field: 'privileges.readOnlyRoot', values: [true, false] },
  { field: 'trust.tenant', values: ['red', 'blue'] },
  { field: 'resources.mean.cpus', values: [0.1, 1] },
  { field: 'resources.peak.cpus', values: [1, 4] },
  { field: 'resources.syscallHeavy', values: [true, false] },
  { field: 'lifecycle.runMinutes', values: [1, 60] },
  { field: 'change.currentForm', values: ['physical', 'vm', 'osContainer', 'appContainer', 'microVM'] },
  { field: 'change.supportedForms', values: [['vm'], ['appContainer', 'vm'], ['osContainer', 'microVM']] },
  { field: 'evidence.packages', values: [20, 900] },
];

const FIELDS = [...DOMAINS.filter((one) => !one.field.startsWith('host.') && one.values.length > 0), ...MORE];

/** `knownShare`: how many of all facts are known, 0 … 1. */
export function sampleWorkload(random: () => number, name: string, knownShare = 0.3): Workload {
  const spec = FIELDS.reduce<Workload['spec']>((at, { field, values }) => (random() < knownShare ? withFact(at, field, values[Math.floor(random() * values.length)]) : at), {});
  return { kind: 'Workload', meta: { name }, spec };
}
