/**
 * The decision for one workload. Pure: the same facts, host, figures and weights give the same bytes; no clock, no
 * chance, no locale, and no look at names, owners or purposes.
 */
import { compareUtf8 } from '../lib/utf8-order.ts';
import { FORM_LABEL, FORMS, type Form } from '../model/forms.ts';
import type { Workload } from '../model/workload.ts';
import { controlsFor } from './controls.ts';
import { ANSWER_LABEL, type AdviseOptions, type Answer, type Decision, type Point, type RuledOut, type Weights } from './decision.ts';
import { withFact } from './domains.ts';
import { effortTo } from './effort.ts';
import { judge, type Judgement } from './judge.ts';
import { redFlagsOf } from './red-flags.ts';
import { sensitivityOf, waysOutOf, type Sensitivity } from './sensitivity.ts';
import { SHIPPED_FIGURES } from './shipped-figures.ts';
import { evidenceFor, type Subject } from './subject.ts';
import { DEFAULT_WEIGHTS } from './weights.ts';

/** How many reasons stand in the table. */
const REASONS = 4;
/** A margin of this many points is as convincing as not. */
const HALF_CONVINCING_MARGIN = 3;

export function decide(workload: Workload, options: AdviseOptions = {}): Decision {
  const subject = subjectOf(workload, options);
  const weights = { ...DEFAULT_WEIGHTS, ...options.weights };
  const judgement = judge(subject, weights);
  const runnerUp = runnerUpOf(subject, weights, judgement);
  const sensitivity = sensitivityOf(subject, weights, judgement, runnerUp);
  const { answer } = judgement;
  const isForm = answer !== 'host' && answer !== 'none';
  return {
    workload: workload.meta.name,
    form: answer,
    runnerUp,
    confidence: confidenceOf(judgement, runnerUp, sensitivity),
    reasons: reasonsOf(judgement, runnerUp),
    ruledOut: ruledOutOf(subject, judgement),
    points: judgement.points.map(({ criterion, weight, verdict }): Point => ({
      criterion: criterion.id, sentence: verdict.sentence, evidence: evidenceFor(subject, verdict.fields), weight, source: criterion.source, scores: verdict.scores,
    })),
    totals: Object.fromEntries(FORMS.filter((form) => judgement.ranked.includes(form)).map((form) => [form, judgement.totals[form]])),
    sensitivity: sensitivity.flips,
    unknowns: sensitivity.unknowns,
    waysOut: isForm ? [] : waysOutOf(subject, weights),
    redFlags: redFlagsOf(subject),
    controls: controlsFor(answer),
    effort: { toForm: isForm ? effortTo(answer, workload.spec) : undefined, toRunnerUp: runnerUp === undefined ? undefined : effortTo(runnerUp, workload.spec) },
  };
}

/** The bare answer, without derivation: for scenarios and large estates. */
export function answerFor(workload: Workload, options: AdviseOptions = {}): { readonly form: Answer; readonly allowed: readonly Form[] } {
  const { answer, ranked } = judge(subjectOf(workload, options), { ...DEFAULT_WEIGHTS, ...options.weights });
  return { form: answer, allowed: ranked };
}

export function subjectOf(workload: Workload, options: AdviseOptions = {}): Subject {
  return { spec: workload.spec, provenance: workload.provenance ?? {}, host: options.host ?? {}, figures: options.figures ?? SHIPPED_FIGURES };
}

/**
 * The second best. For one application that only lacks a build, it is what it would be with one: the place to get to,
 * which tells its owner more than a form that nobody would choose.
 */
function runnerUpOf(subject: Subject, weights: Weights, { answer, ranked }: Judgement): Form | undefined {
  const { spec } = subject;
  const second = ranked[1];
  if (answer !== 'osContainer' && answer !== 'vm') return second;
  const onlyLacksBuild = spec.change?.packagingExists === false && spec.inside?.applications === 1 && spec.inside.sshLogins !== true && spec.inside.interactiveUsers !== true;
  if (!onlyLacksBuild) return second;
  const built = Object.entries({ 'change.packagingExists': true, 'change.testsExist': true, 'inside.manualChanges': false, 'lifecycle.patching': 'rebuild' })
    .reduce((at, [field, value]) => withFact(at, field, value), spec);
  const target = judge({ ...subject, spec: built }, weights).answer;
  return target !== answer && ranked.includes(target as Form) ? (target as Form) : second;
}

function confidenceOf({ ranked, totals, answer }: Judgement, runnerUp: Form | undefined, { unknownFlips, inferredFlips }: Sensitivity): number {
  const second = ranked[1];
  const margin = answer === 'host' || answer === 'none' || runnerUp === undefined || second === undefined ? Number.POSITIVE_INFINITY : totals[ranked[0]!] - totals[second];
  const convincing = margin === Number.POSITIVE_INFINITY ? 1 : 0.5 + 0.5 * (margin / (margin + HALF_CONVINCING_MARGIN));
  const known = 1 / (1 + 0.08 * unknownFlips + 0.04 * inferredFlips);
  return Math.round(convincing * known * 100) / 100;
}

/** What took forms away first, then the criteria that put the answer before the others, strongest first. */
function reasonsOf({ bans, points, answer, ranked }: Judgement, runnerUp: Form | undefined): string[] {
  // Where emulation is the trouble, its sentence says what the one on containers says, and more.
  const emulated = bans.some(({ constraint }) => constraint.id === 'emulated');
  const hard = bans.filter(({ constraint, ban }) => (answer !== 'host' || ban.host !== undefined) && !(emulated && constraint.id === 'boundary')).map(({ ban }) => ban.reason);
  if (answer === 'host' || answer === 'none') return hard.slice(0, REASONS);
  const gains = points.map(({ criterion, weight, verdict }) => ({
    id: criterion.id, sentence: verdict.sentence, gain: gainOf(weight, verdict.scores, answer, runnerUp),
    overRunnerUp: runnerUp === undefined ? 0 : Math.round(weight * (verdict.scores[answer] - verdict.scores[runnerUp]) * 1000) / 1000,
  }));
  const soft = gains.filter(({ gain }) => gain > (ranked.length === 1 ? 1 : 0.2)).sort((a, b) => b.gain - a.gain || compareUtf8(a.id, b.id));
  // “Why not the second one?” is what a reader asks next, so its strongest answer comes second at the latest.
  const against = gains.filter(({ overRunnerUp }) => overRunnerUp > 0.1).sort((a, b) => b.overRunnerUp - a.overRunnerUp || compareUtf8(a.id, b.id))[0];
  const sentences = [...soft.slice(0, 1), ...(against === undefined ? [] : [against]), ...soft.slice(1)].map(({ sentence }) => sentence);
  const reasons = [...new Set([...hard.slice(0, REASONS - 1), ...sentences])].slice(0, REASONS);
  return reasons.length > 0 ? reasons : [`Nothing that is known speaks clearly for a form; ${ANSWER_LABEL[answer]} is a little ahead${runnerUp === undefined ? '' : ` of ${FORM_LABEL[runnerUp]}`}.`];
}

/** By how much a criterion puts the answer before the mean of the others and the runner-up. */
function gainOf(weight: number, scores: Readonly<Record<Form, number>>, answer: Form, runnerUp: Form | undefined): number {
  const others = FORMS.filter((form) => form !== answer);
  const mean = others.reduce((sum, form) => sum + scores[form], 0) / others.length;
  return Math.round(weight * (scores[answer] - 0.5 * mean - 0.5 * (runnerUp === undefined ? mean : scores[runnerUp])) * 1000) / 1000;
}

function ruledOutOf(subject: Subject, { bans }: Judgement): RuledOut[] {
  return FORMS.flatMap((form) => bans.filter(({ ban }) => ban.forms.includes(form)).map(({ constraint, ban }) => ({
    form, constraint: constraint.id, reason: ban.reason, evidence: evidenceFor(subject, ban.fields).filter((one) => one.value !== undefined),
  })));
}
