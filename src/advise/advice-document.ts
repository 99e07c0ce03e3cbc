/** The answer about an estate as scripts read it: plain data with words that stay (`berth advise -o json`, POST /v1/advise). */
import type { Workload } from '../model/workload.ts';
import { densityOf } from './cost/density.ts';
import type { CostReport } from './cost/cost-report.ts';
import type { DensityReport } from './cost/density-report.ts';
import { ANSWER_WORD, type Answer, type Decision, type EstateAdvice, type Flip } from './decision.ts';
import type { Figures } from '../model/figures.ts';
import type { ImportedEstate } from './importers/import-estate.ts';
import type { ImportProblem } from './importers/import-result.ts';

export type AnswerWord = (typeof ANSWER_WORD)[Answer];

export interface WorkloadAdvice {
  readonly name: string;
  readonly owner?: string | undefined;
  readonly form: AnswerWord;
  readonly runnerUp: AnswerWord | null;
  /** From 0 to 1. */
  readonly confidence: number;
  readonly reasons: readonly string[];
  /** Red flags by their word; the sentences stand in `redFlags`. */
  readonly flags: readonly string[];
  readonly redFlags: readonly { readonly flag: string; readonly sentence: string }[];
  /** Unknown facts that would change the answer. */
  readonly wouldChangeIf: readonly string[];
  /** The smallest changes after which another answer is right. */
  readonly sensitivity: readonly { readonly form: AnswerWord; readonly sentence: string; readonly changes: Flip['changes'] }[];
  readonly ruledOut: readonly { readonly form: AnswerWord; readonly constraint: string; readonly reason: string }[];
  /** For `host` and `none`: what to give up to become which form. */
  readonly waysOut: readonly { readonly form: AnswerWord; readonly sentence: string }[];
  readonly controls: readonly { readonly control: string; readonly sentence: string }[];
  readonly effort: { readonly toForm: string | null; readonly toRunnerUp: string | null };
  readonly replicas: number | null;
  /** As recommended, in the currency of `cost`; with prices only. */
  readonly monthlyCost?: string | undefined;
  /** How many facts the importer knew, inferred, and found left open. */
  readonly facts: { readonly knew: number; readonly inferred: number; readonly unknown: number };
  /** With `explain`: every point, and the sums. */
  readonly derivation?: Derivation | undefined;
  readonly provenance?: Workload['provenance'] | undefined;
}

export interface Derivation {
  readonly totals: Readonly<Partial<Record<AnswerWord, number>>>;
  readonly points: readonly { readonly criterion: string; readonly sentence: string; readonly weight: number; readonly source: string; readonly scores: Readonly<Record<string, number>>; readonly evidence: Decision['points'][number]['evidence'] }[];
}

export interface AdviceDocument {
  readonly workloads: readonly WorkloadAdvice[];
  readonly placement: EstateAdvice['placement'];
  /** Red flags of several workloads together. */
  readonly estateFlags: readonly { readonly flag: string; readonly sentence: string; readonly workloads: readonly string[] }[];
  readonly totals: { readonly workloads: number; readonly byForm: Readonly<Record<AnswerWord, number>> };
  /** Which numbers were used: of this host, or those that come with Berth. */
  readonly figures: { readonly host: string; readonly shipped: boolean; readonly hardwareVirtualization: boolean };
  /** How many instances of each form share the same memory. */
  readonly density: DensityReport;
  readonly files: readonly { readonly name: string; readonly format: string }[];
  /** Four scenarios side by side; with prices only. */
  readonly cost?: CostReport | undefined;
  readonly problems: readonly ImportProblem[];
}

export interface AdviceParts {
  readonly estate: ImportedEstate;
  readonly advice: EstateAdvice;
  readonly figures: Figures;
  readonly cost: CostReport | undefined;
  readonly explain: boolean;
}

export function adviceDocument({ estate, advice, figures, cost, explain }: AdviceParts): AdviceDocument {
  const recommended = cost?.scenarios.find((one) => one.scenario === 'recommended');
  const monthly = new Map(recommended?.workloads.map((one) => [one.name, one.monthly]));
  const byName = new Map(estate.workloads.map((one) => [one.meta.name, one]));
  const workloads = advice.decisions.map((decision) => workloadAdvice(decision, byName.get(decision.workload), cost === undefined ? undefined : monthly.get(decision.workload), explain));
  const byForm = Object.fromEntries(Object.values(ANSWER_WORD).map((word) => [word, workloads.filter((one) => one.form === word).length])) as Record<AnswerWord, number>;
  return {
    workloads,
    placement: advice.placement,
    estateFlags: advice.redFlags.map(({ flag, sentence, workloads: names }) => ({ flag, sentence, workloads: names })),
    totals: { workloads: workloads.length, byForm },
    figures: { host: figures.host, shipped: figures.shipped, hardwareVirtualization: figures.hardwareVirtualization },
    density: densityOf(figures),
    files: estate.files.map(({ name, formatLabel }) => ({ name, format: formatLabel })),
    ...(cost === undefined ? {} : { cost }),
    problems: estate.problems,
  };
}

function workloadAdvice(decision: Decision, workload: Workload | undefined, monthlyCost: string | undefined, explain: boolean): WorkloadAdvice {
  const how = Object.values(workload?.provenance ?? {}).map((one) => one.how);
  const count = (word: string): number => how.filter((one) => one === word).length;
  return {
    name: decision.workload,
    ...(workload?.meta.owner === undefined ? {} : { owner: workload.meta.owner }),
    form: ANSWER_WORD[decision.form],
    runnerUp: decision.runnerUp === undefined ? null : ANSWER_WORD[decision.runnerUp],
    confidence: decision.confidence,
    reasons: decision.reasons,
    flags: decision.redFlags.map((one) => one.flag),
    redFlags: decision.redFlags.map(({ flag, sentence }) => ({ flag, sentence })),
    wouldChangeIf: decision.unknowns.map((one) => one.sentence),
    sensitivity: decision.sensitivity.map(({ form, sentence, changes }) => ({ form: ANSWER_WORD[form], sentence, changes })),
    ruledOut: decision.ruledOut.map(({ form, constraint, reason }) => ({ form: ANSWER_WORD[form], constraint, reason })),
    waysOut: decision.waysOut.map(({ form, sentence }) => ({ form: ANSWER_WORD[form], sentence })),
    controls: decision.controls.map(({ control, sentence }) => ({ control, sentence })),
    effort: { toForm: decision.effort.toForm ?? null, toRunnerUp: decision.effort.toRunnerUp ?? null },
    replicas: workload?.spec.replicas ?? null,
    ...(monthlyCost === undefined ? {} : { monthlyCost }),
    facts: { knew: count('knew'), inferred: count('inferred'), unknown: count('unknown') },
    ...(explain ? { derivation: derivation(decision), provenance: workload?.provenance ?? {} } : {}),
  };
}

function derivation({ totals, points }: Decision): Derivation {
  const words = (scores: Readonly<Partial<Record<keyof typeof ANSWER_WORD, number>>>): Record<string, number> => Object.fromEntries(Object.entries(scores).map(([form, value]) => [ANSWER_WORD[form as Answer], value]));
  return { totals: words(totals), points: points.map(({ scores, ...point }) => ({ ...point, scores: words(scores) })) };
}
