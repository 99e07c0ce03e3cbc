/** What the engine says about one workload. Plain data, in the order in which it is to be read. */
import type { Form } from '../model/forms.ts';
import type { Figures } from '../model/figures.ts';
import type { Workload } from '../model/workload.ts';

/** `host`: it belongs on the host itself. `none`: no form fits what was asked. */
export type Answer = Form | 'host' | 'none';

/** As scripts read it (`berth advise -o json`). */
export const ANSWER_WORD: Readonly<Record<Answer, 'app-container' | 'os-container' | 'microvm' | 'vm' | 'host' | 'none'>> = {
  appContainer: 'app-container', osContainer: 'os-container', microVM: 'microvm', vm: 'vm', host: 'host', none: 'none',
};

/** As people read it. */
export const ANSWER_LABEL: Readonly<Record<Answer, string>> = {
  appContainer: 'app container', osContainer: 'OS container', microVM: 'microVM', vm: 'VM', host: 'on the host', none: 'no form',
};

/** What a fact or a figure says, and where it stands. */
export interface Evidence {
  /** Path below `spec` (`os.family`), or `host.…`, `figures.…`. */
  readonly field: string;
  readonly value: unknown;
  readonly how: 'knew' | 'inferred' | 'unknown';
  /** The importer's rule, for inferred ones. */
  readonly rule?: string | undefined;
}

/** A form that a hard constraint took away. */
export interface RuledOut {
  readonly form: Form;
  readonly constraint: string;
  /** A whole sentence. */
  readonly reason: string;
  readonly evidence: readonly Evidence[];
}

/** One criterion's word. */
export interface Point {
  readonly criterion: string;
  readonly sentence: string;
  readonly evidence: readonly Evidence[];
  readonly weight: number;
  /** Where the criterion comes from: a page of the guide, a standard, a measurement. */
  readonly source: string;
  /** From −1 (speaks against the form) to 1 (for it), before the weight. */
  readonly scores: Readonly<Record<Form, number>>;
}

/** A change of one or two facts after which another answer is right. */
export interface Flip {
  readonly changes: readonly { readonly field: string; readonly from: unknown; readonly to: unknown }[];
  readonly form: Answer;
  readonly sentence: string;
}

export interface RedFlag {
  readonly flag: string;
  readonly sentence: string;
  readonly evidence: readonly Evidence[];
}

export interface Control {
  readonly control: string;
  readonly sentence: string;
}

/** For `none` and `host`: what to give up, and which form it then becomes. */
export interface WayOut {
  readonly drop: readonly { readonly field: string; readonly to: unknown }[];
  readonly form: Form;
  readonly sentence: string;
}

export interface Decision {
  readonly workload: string;
  readonly form: Answer;
  readonly runnerUp: Form | undefined;
  /** From 0 to 1: the margin over the runner-up, less what is unknown. 1 when hard constraints leave one answer and nothing is unknown. */
  readonly confidence: number;
  /** The strongest reasons, whole sentences, strongest first. */
  readonly reasons: readonly string[];
  readonly ruledOut: readonly RuledOut[];
  readonly points: readonly Point[];
  /** Sum of weight × score for each form that was not ruled out. */
  readonly totals: Readonly<Partial<Record<Form, number>>>;
  /** Smallest changes first. */
  readonly sensitivity: readonly Flip[];
  /** Unknown facts that would change the answer. */
  readonly unknowns: readonly Flip[];
  readonly waysOut: readonly WayOut[];
  readonly redFlags: readonly RedFlag[];
  readonly controls: readonly Control[];
  /** What it takes to get from today's form to this one, and to the runner-up. */
  readonly effort: { readonly toForm: string | undefined; readonly toRunnerUp: string | undefined };
}

/** What the hosts can do. Missing: unknown. */
export interface HostCapabilities {
  readonly hardwareVirtualization?: boolean | undefined;
}

export type Weights = Readonly<Record<string, number>>;

/** What is held against all workloads. */
export interface AdviseOptions {
  readonly host?: HostCapabilities | undefined;
  /** By criterion; missing ones have the weight of the table. */
  readonly weights?: Weights | undefined;
  /** Missing: the shipped ones. */
  readonly figures?: Figures | undefined;
}

/** Two sets of workloads that a packer must keep apart, or keep together; by workload name. */
export interface PlacementRule {
  readonly kind: 'apart' | 'together';
  /** `apart`: no host (`scope: host`) or no kernel (`scope: kernel`) may hold members of two different groups. `together`: all on one host. */
  readonly scope: 'host' | 'kernel';
  readonly groups: readonly (readonly string[])[];
  readonly reason: string;
}

export interface EstateAdvice {
  /** Sorted by workload name. */
  readonly decisions: readonly Decision[];
  readonly placement: readonly PlacementRule[];
  /** Red flags of several workloads together. */
  readonly redFlags: readonly (RedFlag & { readonly workloads: readonly string[] })[];
}

export type Estate = readonly Workload[];
