/** advise.review: running instances weighed again with what was seen of them. Says what it would change, and changes nothing. */
import { ANSWER_LABEL, ANSWER_WORD } from '../../advise/decision.ts';
import { decide } from '../../advise/decide.ts';
import { completeFigures } from '../../advise/complete-figures.ts';
import { instanceWorkload } from '../../advise/importers/berth-instance.ts';
import { formatBytes } from '../../lib/bytes.ts';
import type { InstanceEvidence, InstanceReview } from '../../model/evidence.ts';
import { FORM_LABEL } from '../../model/forms.ts';
import type { Image } from '../../model/image.ts';
import { bootsItself, type Instance } from '../../model/instance-status.ts';
import type { InstanceServices } from '../instance/context.ts';
import { instanceEvidence } from './evidence.ts';
import { hardwareVirtualization, nodeFigures } from './node-figures.ts';

/** Each decision takes a millisecond or two of the loop; the loop turns after each. */
export async function reviewInstances(services: InstanceServices, instances: readonly Instance[]): Promise<readonly InstanceReview[]> {
  const reviews: InstanceReview[] = [];
  for (const instance of instances) {
    reviews.push(await reviewInstance(services, instance));
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  return reviews;
}

async function reviewInstance(services: InstanceServices, instance: Instance): Promise<InstanceReview> {
  const { meta, spec, status } = instance;
  const evidence = await instanceEvidence(services, instance).catch(() => undefined);
  const image = services.registry.list<Image>('Image', meta.project).find((one) => one.status.digest === status.imageId);
  const config = image?.status.config ?? UNKNOWN_IMAGE;
  const { workload } = instanceWorkload({ name: meta.name, owner: meta.owner, purpose: meta.purpose, labels: meta.labels, spec, image: config, isDisk: bootsItself(instance), form: status.form, evidence });
  const decision = decide(workload, { host: { hardwareVirtualization: hardwareVirtualization(services) }, figures: completeFigures(nodeFigures(services)) });
  const wouldChange = decision.form !== status.form;
  return {
    name: meta.name, project: meta.project, form: status.form, advised: ANSWER_WORD[decision.form], runnerUp: decision.runnerUp === undefined ? null : ANSWER_WORD[decision.runnerUp], confidence: decision.confidence,
    wouldChange,
    sentence: wouldChange ? `'${meta.name}' runs as ${FORM_LABEL[status.form]}; by what is known now it should be: ${ANSWER_LABEL[decision.form]}.` : `'${meta.name}' runs as ${FORM_LABEL[status.form]}, and should.`,
    reasons: decision.reasons, flags: decision.redFlags.map((one) => one.flag), wouldChangeIf: decision.unknowns.map((one) => one.sentence),
    limits: limitNotes(instance, evidence), evidence,
  };
}

const UNKNOWN_IMAGE = { architecture: '', os: 'linux', entrypoint: [], command: [], env: [], workdir: '/', user: '', exposedPorts: [], volumes: [], labels: {} };
/** A limit this many times above the most that was ever used is room that others could have. */
const FAR_ABOVE = 8;
/** From this share of the limit on, the next load may hit it. */
const NEAR = 0.9;
const LONG_ENOUGH_SECONDS = 3600;

function limitNotes({ spec, status }: Instance, evidence: InstanceEvidence | undefined): string[] {
  const peak = evidence?.memoryPeakBytes;
  const limit = spec.memoryBytes;
  if (evidence === undefined || peak === undefined || limit === undefined || status.isolation === 'vm') return [];
  if (peak > limit * NEAR) return [`It used ${formatBytes(peak)} of the ${formatBytes(limit)} that it may: give it more, or it will be killed when it needs them.`];
  if (evidence.uptimeSeconds > LONG_ENOUGH_SECONDS && peak * FAR_ABOVE < limit) return [`It never used more than ${formatBytes(peak)} of the ${formatBytes(limit)} that it may: a smaller limit says better what it needs.`];
  return [];
}
