/**
 * How strong the boundary around a workload must be. Two needs are kept apart, because sources that fold them into one
 * contradict each other: what may come out of it (hostile code) and what may not come in (data worth stealing).
 */
import type { Subject } from './subject.ts';

export interface Demand {
  readonly why: string;
  readonly fields: readonly string[];
}

/** Why only hardware will do; undefined when a shared kernel is not out of the question. */
export function hardwareDemand({ spec }: Subject): Demand | undefined {
  const { trust, inside, source } = spec;
  const apart = trust?.noSharedKernelWith ?? [];
  if (apart.length > 0) return { why: 'it may not share a kernel with others', fields: ['trust.noSharedKernelWith'] };
  if (trust?.demand === 'raised') return { why: 'its owner asks for a boundary of hardware', fields: ['trust.demand'] };
  if (trust?.demand === 'lowered') return undefined;
  if (trust?.code === 'tenant') return { why: 'it runs code of people who are not trusted', fields: ['trust.code', 'trust.demand'] };
  if (inside?.administrators === 'tenant') return { why: 'people who are not trusted administer it from the inside', fields: ['inside.administrators', 'trust.demand'] };
  if (trust?.tenant !== undefined && trust.code === 'third-party') {
    return { why: 'a tenant brings foreign code', fields: ['trust.tenant', 'trust.code', 'trust.demand'] };
  }
  if (trust?.code === 'third-party' && trust.internetFacing === true && source?.signed === false) {
    return { why: 'foreign code that nobody signed faces the internet', fields: ['trust.code', 'trust.internetFacing', 'source.signed', 'trust.demand'] };
  }
  return undefined;
}

/** 0 … 1: how likely it is that the workload's own code turns against its surroundings. */
export function hostilityNeed({ spec }: Subject): number {
  const { trust, inside, source } = spec;
  if (trust?.demand === 'lowered') return 0;
  const internet = trust?.internetFacing === true ? 0.1 : 0;
  if (trust?.code === 'tenant' || inside?.administrators === 'tenant') return 1;
  if (trust?.code === 'third-party') return 1.5 * internet + (source?.signed === true ? 0.05 : source?.signed === false ? 0.25 : 0.1);
  return internet;
}

const BY_SENSITIVITY = { public: 0, internal: 0, confidential: 0.1, secret: 0.3 } as const;

/** 0 … 1: how much it would cost if a neighbour reached its data. */
export function dataNeed({ spec }: Subject): number {
  const { trust } = spec;
  if (trust?.demand === 'lowered') return 0;
  const apart = (trust?.noSharedKernelWith ?? []).length > 0 ? 0.4 : 0;
  return Math.min(1, apart + (trust?.regulated === true ? 0.15 : 0) + BY_SENSITIVITY[trust?.sensitivity ?? 'public']);
}
