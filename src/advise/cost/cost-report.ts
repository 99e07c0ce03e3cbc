/** What an estate costs in each scenario, as plain data: amounts are decimal text in the currency of the price file. */
import type { ANSWER_WORD } from '../decision.ts';
import type { Scenario } from './scenarios.ts';

export type PlacedWord = (typeof ANSWER_WORD)[keyof typeof ANSWER_WORD] | 'physical';

export interface CostReport {
  readonly currency: string;
  readonly decimals: number;
  /** The prices are those that come with Berth, and nobody's. */
  readonly examplePrices: boolean;
  readonly note?: string | undefined;
  /** In the order all-vm, all-container, today, recommended. */
  readonly scenarios: readonly ScenarioCost[];
  /** How things were counted, in sentences. */
  readonly rules: readonly string[];
  /** What was taken because nobody said it. */
  readonly assumptions: readonly string[];
}

export interface ScenarioCost {
  readonly scenario: Scenario;
  readonly label: string;
  readonly hosts: {
    readonly needed: number;
    readonly spare: number;
    readonly byType: readonly { readonly type: string; readonly needed: number; readonly spare: number }[];
    /** No way of packing needs fewer, without spares; and by which argument. */
    readonly lowerBound: number;
    readonly lowerBoundBy: string;
    /** Of the hosts needed, without licences of workloads and labour for what runs on them. */
    readonly monthly: string;
    /** No mixture of hosts that holds all costs less; fewer hosts may cost more. */
    readonly monthlyAtLeast: string;
  };
  /** Used share of all hosts, spares included, 0 to 1 (above 1 where more is promised than there is). */
  readonly utilization: { readonly cpu: number; readonly memory: number; readonly disk: number };
  readonly instances: number;
  readonly byForm: Readonly<Partial<Record<PlacedWord, number>>>;
  readonly operatingSystems: number;
  /** Images to rebuild: one for each workload in an app form. */
  readonly images: number;
  readonly kernels: number;
  readonly workloadsPerKernel: number;
  /** Of an instance in the middle and of the slowest; null where nothing was measured. */
  readonly start: { readonly typicalMs: number | null; readonly slowestMs: number | null; readonly transferable: boolean };
  /** All instances one after the other, as in a rolling update. */
  readonly redeployMs: number | null;
  /** To buy the hosts, spares included. */
  readonly purchase: string;
  readonly monthly: {
    readonly capital: string; readonly running: string; readonly energy: string; readonly hostLicences: string;
    readonly workloadLicences: string; readonly labour: string; readonly total: string;
  };
  readonly monthlyPerWorkload: string;
  readonly threeYears: string;
  /** Less than “as it is today”, in percent of it; negative when it is more. null for today itself. */
  readonly savedPercent: number | null;
  /** Sorted by name; they add up to the monthly total. */
  readonly workloads: readonly { readonly name: string; readonly form: PlacedWord; readonly instances: number; readonly monthly: string }[];
  readonly unplaced: readonly { readonly name: string; readonly reason: string }[];
  readonly notes: readonly string[];
}
