/** Constraints, then scores: the bare answer, cheap enough to be asked a few hundred times for one workload. */
import { FORMS, type Form } from '../model/forms.ts';
import { CONSTRAINTS, type Ban, type Constraint } from './constraints.ts';
import type { Answer, Weights } from './decision.ts';
import type { Criterion, Verdict } from './criteria/criterion.ts';
import { CRITERIA } from './criteria/table.ts';
import type { Subject } from './subject.ts';

export interface HitConstraint {
  readonly constraint: Constraint;
  readonly ban: Ban;
}

export interface HitCriterion {
  readonly criterion: Criterion;
  readonly weight: number;
  readonly verdict: Verdict;
}

export interface Judgement {
  readonly answer: Answer;
  /** The forms that are left, best first. */
  readonly ranked: readonly Form[];
  readonly totals: Readonly<Record<Form, number>>;
  readonly bans: readonly HitConstraint[];
  readonly points: readonly HitCriterion[];
}

export function judge(subject: Subject, weights: Weights): Judgement {
  const bans: HitConstraint[] = [];
  for (const constraint of CONSTRAINTS) {
    const ban = constraint.judge(subject);
    if (ban !== undefined && ban.forms.length > 0) bans.push({ constraint, ban });
  }
  const banned = new Set(bans.flatMap(({ ban }) => ban.forms));
  const left = FORMS.filter((form) => !banned.has(form));
  const points: HitCriterion[] = [];
  const totals: Record<Form, number> = { appContainer: 0, osContainer: 0, microVM: 0, vm: 0 };
  for (const criterion of CRITERIA) {
    const verdict = criterion.judge(subject);
    if (verdict === undefined) continue;
    const weight = weights[criterion.id] ?? criterion.weight;
    points.push({ criterion, weight, verdict });
    for (const form of FORMS) totals[form] += weight * verdict.scores[form];
  }
  for (const form of FORMS) totals[form] = Math.round(totals[form] * 1000) / 1000;
  const ranked = [...left].sort((a, b) => totals[b] - totals[a] || tie(subject, a, b));
  return { answer: ranked[0] ?? withoutForm(bans), ranked, totals, bans, points };
}

/** Equal totals: today's form, else the lighter one; never the order of evaluation. */
function tie({ spec }: Subject, a: Form, b: Form): number {
  const today = (form: Form): number => (spec.change?.currentForm === form ? 0 : 1);
  return today(a) - today(b) || FORMS.indexOf(a) - FORMS.indexOf(b);
}

/** Nothing is left: is that because its subject is the host, or because it asks for too much? */
function withoutForm(bans: readonly HitConstraint[]): 'host' | 'none' {
  const host = Math.max(0, ...bans.map(({ ban }) => ban.host ?? 0));
  const refuse = Math.max(0, ...bans.map(({ ban }) => ban.refuse ?? 0));
  return host > refuse ? 'host' : 'none';
}
