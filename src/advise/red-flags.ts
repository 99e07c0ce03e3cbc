/** What is wrong with a workload whatever form it gets. */
import type { RedFlag } from './decision.ts';
import { meaningOfPath } from './host-paths.ts';
import { evidenceFor, type Subject } from './subject.ts';

interface FlagRule {
  readonly flag: string;
  readonly says: string;
  readonly fields: readonly string[];
  readonly holds: (subject: Subject) => boolean;
}

/** No tag, or the tag that means “whatever was pushed last”; a digest pins whatever the tag says. */
export function isUnpinned(reference: string): boolean {
  if (reference.includes('@sha256:')) return false;
  const tag = /:([^:/]+)$/.exec(reference)?.[1];
  return tag === undefined || tag === 'latest';
}

export const FLAG_RULES: readonly FlagRule[] = [
  { flag: 'latest', says: 'Its image is `latest`: nobody can say what runs, or go back.', fields: ['source.image'], holds: ({ spec }) => spec.source?.image !== undefined && isUnpinned(spec.source.image) },
  { flag: 'root user', says: 'It runs as root inside.', fields: ['privileges.root'], holds: ({ spec }) => spec.privileges?.root === true },
  { flag: 'privileged', says: 'It asks for all privileges.', fields: ['privileges.privileged'], holds: ({ spec }) => spec.privileges?.privileged === true },
  { flag: 'host mounts', says: 'It mounts directories of the host.', fields: ['privileges.hostPaths'], holds: ({ spec }) => (spec.privileges?.hostPaths ?? []).length > 0 },
  { flag: 'host root', says: 'What it mounts makes it root on the host.', fields: ['privileges.hostPaths'], holds: ({ spec }) => (spec.privileges?.hostPaths ?? []).some((one) => meaningOfPath(one) === 'root') },
  { flag: 'host network', says: 'It uses the host’s network, past all rules between workloads.', fields: ['privileges.hostNetwork'], holds: ({ spec }) => spec.privileges?.hostNetwork === true },
  { flag: 'no limits', says: 'It has no memory limit; one leak takes the host down.', fields: ['resources.limits'], holds: ({ spec }) => spec.resources?.limits !== undefined && spec.resources.limits.memoryBytes === undefined },
  {
    flag: 'several applications', says: 'One container holds several applications; one restart stops them all, and no one sees which of them failed.', fields: ['inside.applications', 'source.kind'],
    holds: ({ spec }) => (spec.inside?.applications ?? 0) > 1 && (spec.source?.kind === 'image' || spec.source?.image !== undefined || spec.change?.currentForm === 'appContainer'),
  },
  { flag: 'secrets in the environment', says: 'Secrets stand in its environment, where every process and every `inspect` shows them.', fields: ['inside.envSecrets'], holds: ({ spec }) => (spec.inside?.envSecrets ?? []).length > 0 },
  { flag: 'unpatched base', says: 'Its base gets no security updates any more.', fields: ['os.unsupported'], holds: ({ spec }) => spec.os?.unsupported === true },
  { flag: 'trust lowered', says: 'Its owner accepts one kernel between parties that distrust each other.', fields: ['trust.demand', 'trust.code', 'inside.administrators'], holds: ({ spec }) => spec.trust?.demand === 'lowered' },
];

export function redFlagsOf(subject: Subject): RedFlag[] {
  return FLAG_RULES.filter((rule) => rule.holds(subject)).map((rule) => ({ flag: rule.flag, sentence: rule.says, evidence: evidenceFor(subject, rule.fields) }));
}
