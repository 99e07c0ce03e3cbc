/** The four estates that are compared: which form each workload would have in each. */
import type { Form } from '../../model/forms.ts';
import type { Workload } from '../../model/workload.ts';
import type { Decision } from '../decision.ts';

export const SCENARIOS = ['all-vm', 'all-container', 'today', 'recommended'] as const;
export type Scenario = (typeof SCENARIOS)[number];

export const SCENARIO_LABEL: Readonly<Record<Scenario, string>> = {
  'all-vm': 'Everything in VMs',
  'all-container': 'Containers where allowed',
  today: 'As it is today',
  recommended: 'As recommended',
};

/** `host`: on the host itself. `physical`: a machine of its own. undefined: in no form, so it is not counted. */
export type Placed = Form | 'host' | 'physical' | undefined;

export interface ScenarioForm {
  readonly placed: Placed;
  /** Why it is not what the scenario's name says; several workloads share a sentence. */
  readonly note?: string | undefined;
}

export function formIn(scenario: Scenario, { spec }: Workload, decision: Decision): ScenarioForm {
  const recommended = recommendedForm(decision);
  if (scenario === 'recommended') return recommended;
  if (decision.form === 'host') return { placed: 'host' };
  if (scenario === 'all-vm') return { placed: 'vm' };
  if (scenario === 'all-container') return containerForm(decision, recommended);
  const today = spec.change?.currentForm;
  return today === undefined ? { ...recommended, note: 'Nobody said what they run as today; they are counted as recommended.' } : { placed: today };
}

function recommendedForm({ form, waysOut }: Decision): ScenarioForm {
  if (form !== 'none') return { placed: form };
  const out = waysOut[0]?.form;
  return out === undefined ? { placed: undefined, note: 'No form fits them; they are not counted.' } : { placed: out, note: 'No form fits them as asked; they are counted as what they become when their owner gives way.' };
}

function containerForm({ ruledOut, totals, form }: Decision, recommended: ScenarioForm): ScenarioForm {
  const allowed = (['appContainer', 'osContainer'] as const).filter((one) => !ruledOut.some((other) => other.form === one));
  if (form === 'none' || allowed.length === 0) return { ...recommended, note: recommended.note ?? 'A hard constraint forbids them a container; they are counted as recommended.' };
  return { placed: allowed.reduce((best, one) => ((totals[one] ?? Number.NEGATIVE_INFINITY) > (totals[best] ?? Number.NEGATIVE_INFINITY) ? one : best)) };
}
