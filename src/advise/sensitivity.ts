/** What would have to be different for another answer: single facts first, then pairs. Deterministic, and bounded. */
import type { Form } from '../model/forms.ts';
import { ANSWER_LABEL, type Answer, type Flip, type WayOut, type Weights } from './decision.ts';
import { DOMAINS, shown, withFact, type Domain } from './domains.ts';
import { judge, type Judgement } from './judge.ts';
import { factOf, ordered, type Subject } from './subject.ts';

interface Change {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
  readonly words: string;
  readonly rare: boolean;
  readonly unit: 'bytes' | undefined;
}

interface Tried {
  readonly change: Change;
  readonly outcome: Judgement;
}

/** Pairs are searched among the changes that bring the runner-up nearest. */
const PAIR_CANDIDATES = 14;
const MAX_FLIPS = 4;

export interface Sensitivity {
  readonly flips: readonly Flip[];
  readonly unknowns: readonly Flip[];
  /** How many unknown facts that are not rare would change the answer. */
  readonly unknownFlips: number;
  /** How many inferred facts would change the answer if the guess were wrong. */
  readonly inferredFlips: number;
}

export function sensitivityOf(subject: Subject, weights: Weights, base: Judgement, runnerUp: Form | undefined): Sensitivity {
  const tried = singles(subject).map((change) => ({ change, outcome: judge(changed(subject, change), weights) }));
  const flips = (one: Tried): boolean => (runnerUp === undefined ? one.outcome.answer !== base.answer : one.outcome.answer === runnerUp);
  const known = oncePerField(tried.filter((one) => one.change.from !== undefined && flips(one)));
  // That an unheard-of demand would leave no form at all is true of every workload, and tells nobody anything.
  const telling = (one: Tried): boolean => !(one.change.rare && isNoForm(one.outcome.answer));
  const unknown = oncePerField(tried.filter((one) => one.change.from === undefined && one.outcome.answer !== base.answer && telling(one)));
  const found = known.length > 0 ? known.map((one) => flipOf([one.change], one.outcome.answer)) : pairs(subject, weights, base, runnerUp, tried);
  return {
    flips: found.slice(0, MAX_FLIPS),
    unknowns: [...unknown.filter((one) => !one.change.rare), ...unknown.filter((one) => one.change.rare)].map((one) => flipOf([one.change], one.outcome.answer)),
    unknownFlips: unknown.filter((one) => !one.change.rare).length,
    inferredFlips: oncePerField(tried.filter((one) => subject.provenance[one.change.field]?.how === 'inferred' && one.outcome.answer !== base.answer)).length,
  };
}

/** What an owner could give up so that a form fits: single facts, pairs, then three at once; the fewest, for each form. */
export function waysOutOf(subject: Subject, weights: Weights): WayOut[] {
  const asked = DOMAINS.filter((domain) => 'droppable' in domain && droppable(subject, domain));
  const found = new Map<Form, WayOut>();
  for (let size = 1; size <= 3; size += 1) {
    for (const set of subsets(asked, size)) {
      const changes = set.map((domain) => ({ field: domain.field, from: factOf(subject, domain.field), to: domain.droppable, says: domain.gaveUp ?? `gives up ${domain.words}` }));
      const { answer } = judge(changes.reduce(changed, subject), weights);
      if (isNoForm(answer) || found.has(answer)) continue;
      const steps = changes.map((change) => change.says);
      found.set(answer, { drop: changes.map(({ field, to }) => ({ field, to })), form: answer, sentence: `If its owner ${steps.join(' and ')}, it becomes: ${ANSWER_LABEL[answer]}.` });
    }
  }
  return [...found.values()];
}

function isNoForm(answer: Answer): answer is 'host' | 'none' {
  return answer === 'host' || answer === 'none';
}

/** Only what was really asked for can be given up; a lowered demand only by one who has not lowered it. */
function droppable(subject: Subject, domain: Domain): boolean {
  const now = factOf(subject, domain.field);
  if (domain.field === 'trust.demand') return now !== 'lowered';
  return now !== undefined && now !== false && now !== 'none' && !(Array.isArray(now) && now.length === 0 && domain.field !== 'change.supportedForms');
}

function singles(subject: Subject): Change[] {
  return DOMAINS.flatMap((domain) => {
    const from = factOf(subject, domain.field);
    const others = domain.values.filter((value) => !same(value, from));
    // The nearest number first: the smallest change of it is the one to tell.
    if (typeof from === 'number') others.sort((a, b) => distance(from, a) - distance(from, b));
    return others.filter((to) => !(from === undefined && isNothing(to))).map((to) => ({ field: domain.field, from, to, words: domain.words, rare: domain.rare === true, unit: domain.unit }));
  });
}

/** To learn that an unknown extra is not there changes nothing; it would only cost time to try. */
function isNothing(value: unknown): boolean {
  return (Array.isArray(value) && value.length === 0) || value === 'none';
}

function distance(from: number, to: unknown): number {
  return typeof to === 'number' ? Math.abs(Math.log((to + 0.01) / (from + 0.01))) : Number.MAX_VALUE;
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (Array.isArray(a) && Array.isArray(b) && ((a.length === 0 && b.length === 0) || (a.length > 0 && b.length > 0)));
}

function changed(subject: Subject, change: { readonly field: string; readonly to: unknown }): Subject {
  if (change.field === 'host.hardwareVirtualization') return { ...subject, host: { ...subject.host, hardwareVirtualization: change.to as boolean } };
  return { ...subject, spec: withFact(subject.spec, change.field, change.to) };
}

function oncePerField(tried: readonly Tried[]): Tried[] {
  const fields = new Set<string>();
  return tried.filter(({ change }) => !fields.has(change.field) && fields.add(change.field));
}

function pairs(subject: Subject, weights: Weights, base: Judgement, runnerUp: Form | undefined, tried: readonly Tried[]): Flip[] {
  const usable = tried.filter(({ change }) => change.from !== undefined && !change.field.startsWith('host.'));
  const near = (one: Tried): number => (runnerUp === undefined ? one.outcome.bans.length : lead(one.outcome, base.answer, runnerUp));
  const best = usable.map((one, index) => ({ one, index, near: near(one) })).sort((a, b) => a.near - b.near || a.index - b.index).slice(0, PAIR_CANDIDATES);
  const found: Flip[] = [];
  for (const [at, first] of best.entries()) {
    for (const second of best.slice(at + 1)) {
      if (first.one.change.field === second.one.change.field) continue;
      const { answer } = judge([first.one.change, second.one.change].reduce(changed, subject), weights);
      if (runnerUp === undefined ? answer === base.answer : answer !== runnerUp) continue;
      found.push(flipOf([first.one.change, second.one.change], answer));
      if (found.length >= MAX_FLIPS) return found;
    }
  }
  return found;
}

/** How far the answer is still ahead of the runner-up; a form that was ruled out is behind any other. */
function lead(outcome: Judgement, answer: Answer, runnerUp: Form): number {
  const of = (form: Answer): number => (form === 'host' || form === 'none' || !outcome.ranked.includes(form) ? -1000 : outcome.totals[form]);
  return of(answer) - of(runnerUp);
}

function flipOf(changes: readonly Pick<Change, 'field' | 'from' | 'to' | 'words' | 'unit'>[], answer: Answer): Flip {
  const parts = changes.map((change) => `${change.words}: ${shown(change.to, change.unit)} (now ${shown(change.from, change.unit)})`);
  return { changes: changes.map(({ field, from, to }) => ({ field, from: ordered(from), to })), form: answer, sentence: `${upper(parts.join(' and '))} → ${ANSWER_LABEL[answer]}.` };
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function* subsets<T>(all: readonly T[], size: number, from = 0): Generator<T[]> {
  if (size === 0) { yield []; return; }
  for (let at = from; at <= all.length - size; at += 1) {
    for (const rest of subsets(all, size - 1, at + 1)) yield [all[at]!, ...rest];
  }
}
