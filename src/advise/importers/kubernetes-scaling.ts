/** HorizontalPodAutoscaler (autoscaling/v2): how many copies a workload of the same files may have. */
import type { Workload } from '../../model/workload.ts';
import type { SourceDocument, SourceNode } from './source-node.ts';

export interface Scaling {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  readonly min: number | undefined;
  readonly max: number | undefined;
}

export function scalingsOf({ root }: SourceDocument): readonly Scaling[] {
  const nodes: readonly SourceNode[] = Array.isArray(root.at('items').value) ? root.at('items').list() : [root];
  return nodes.flatMap((node) => {
    if (node.at('kind').value !== 'HorizontalPodAutoscaler') return [];
    const target = node.at('spec', 'scaleTargetRef');
    const name = target.at('name').text();
    return name === undefined ? [] : [{ kind: target.at('kind').text() ?? '', name, namespace: node.at('metadata', 'namespace').text(), min: node.at('spec', 'minReplicas').number(), max: node.at('spec', 'maxReplicas').number() }];
  });
}

/** `spec.replicas` of what is scaled is only where it began. */
export function withScaling(workload: Workload, scalings: readonly Scaling[]): Workload {
  const labels = workload.meta.labels ?? {};
  const scaling = scalings.find((one) => one.name === workload.meta.name && one.kind === labels['kubernetes.kind'] && one.namespace === labels['kubernetes.namespace']);
  if (scaling === undefined) return workload;
  const facts = { ...(isCount(scaling.min) ? { replicas: scaling.min } : {}), ...(isCount(scaling.max) ? { replicasMax: scaling.max } : {}) };
  const how = Object.fromEntries(Object.keys(facts).map((fact) => [fact, { how: 'knew' as const, from: `HorizontalPodAutoscaler, spec.${fact === 'replicas' ? 'minReplicas' : 'maxReplicas'}` }]));
  return { ...workload, spec: { ...workload.spec, ...facts }, provenance: { ...workload.provenance, ...how } };
}

function isCount(value: number | undefined): boolean {
  return value !== undefined && Number.isInteger(value) && value >= 0 && value <= 1_000_000;
}
