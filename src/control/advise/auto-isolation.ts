/** `isolation: auto`: the engine weighs what the spec says, and picks among the forms that this node can run. */
import { decide } from '../../advise/decide.ts';
import { ANSWER_LABEL, type Decision } from '../../advise/decision.ts';
import { completeFigures } from '../../advise/complete-figures.ts';
import { instanceWorkload } from '../../advise/importers/berth-instance.ts';
import { BerthError } from '../../model/errors.ts';
import { formOf, FORM_LABEL, type Form, type SettledIsolation } from '../../model/forms.ts';
import type { Image } from '../../model/image.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import type { MetaInput } from '../../model/meta.ts';
import { assertHonoured } from '../instance/refused-fields.ts';
import { assertVolumesFit } from '../instance/volumes.ts';
import type { Services } from '../services.ts';
import { hardwareVirtualization, nodeFigures, ownNode } from './node-figures.ts';

export interface AutoDecision {
  readonly isolation: SettledIsolation;
  /** For `status.decision`. */
  readonly reasons: readonly string[];
}

/** @throws BerthError `unsupported` when what it needs is not on this node, with what to give up. */
export function decideIsolation(services: Services, { name, meta, spec, image }: { readonly name: string; readonly meta: MetaInput; readonly spec: InstanceSpec; readonly image: Image }): AutoDecision {
  const { workload, problems } = instanceWorkload({ name, owner: meta.owner, purpose: meta.purpose, labels: meta.labels, spec, image: image.status.config });
  const [problem] = problems;
  if (problem !== undefined) throw new BerthError('invalid', `${problem.field}: ${problem.message}`, { fields: problems.map((one) => ({ path: `meta.${one.field ?? ''}`, message: one.message })) });
  const decision = decide(workload, { host: { hardwareVirtualization: hardwareVirtualization(services) }, figures: completeFigures(nodeFigures(services)) });
  const mode = spec.mode ?? 'app';
  const possible = (['container', 'vm'] as const).filter((isolation) => decision.totals[formOf(isolation, mode)] !== undefined && runsHere(services, formOf(isolation, mode)) && refusedField(services, image, spec, formOf(isolation, mode)) === undefined);
  const best = possible.toSorted((a, b) => decision.totals[formOf(b, mode)]! - decision.totals[formOf(a, mode)]!)[0];
  if (decision.form === 'host' || decision.form === 'none' || best === undefined) throw refusal(decision, (['container', 'vm'] as const).map((isolation) => formOf(isolation, mode)), services, image, spec);
  const form = formOf(best, mode);
  const aside = decision.form === form ? [] : [`Best would be: ${ANSWER_LABEL[decision.form]}${runsHere(services, decision.form) ? ', which is another mode' : ', which this node cannot run'}; of what can be had, ${FORM_LABEL[form]} comes first.`];
  return { isolation: best, reasons: [...aside, ...decision.reasons] };
}

function runsHere(services: Services, form: Form): boolean {
  return ownNode(services).status.forms.some((one) => one.form === form && one.available);
}

/** A form that cannot honour a field of the spec is none for it. */
function refusedField(services: Services, image: Image, spec: InstanceSpec, form: Form): string | undefined {
  try {
    assertHonoured(spec, form);
    assertVolumesFit(services, image.meta.project, spec, form, ownNode(services).status.forms.find((one) => one.form === form)?.noDirectories);
    return undefined;
  } catch (error) {
    return (error as BerthError).message;
  }
}

function refusal(decision: Decision, forms: readonly Form[], services: Services, image: Image, spec: InstanceSpec): BerthError {
  const why = forms.map((form) => {
    const ruledOut = decision.ruledOut.find((one) => one.form === form);
    const missing = ownNode(services).status.forms.find((one) => one.form === form && !one.available);
    return ruledOut === undefined ? (missing === undefined ? refusedField(services, image, spec, form) : `${FORM_LABEL[form]}: ${missing.reason ?? 'this node cannot run it.'}`) : `${FORM_LABEL[form]}: ${ruledOut.reason}`;
  }).filter((one) => one !== undefined);
  const verdict = decision.form === 'host' ? 'it belongs on the host itself' : decision.form === 'none' ? 'no form fits as asked' : `it should be: ${ANSWER_LABEL[decision.form]}`;
  return new BerthError('unsupported', `No isolation can be chosen for it on this node: ${verdict}. ${why.length > 0 ? why.join(' ') : (decision.reasons[0] ?? '')}`.trim(), {
    hint: decision.waysOut[0]?.sentence ?? 'Say --isolation container or --isolation vm to decide it yourself.',
  });
}
