/**
 * image.copy: from one reference to another. Between registries nothing of it stays on this host, and all platforms of an
 * index go; a name of this host at either end makes it a push or a pull.
 */
import { BerthError } from '../../model/errors.ts';
import type { Platform } from '../../model/platform.ts';
import type { Project } from '../../model/project.ts';
import { canonicalReference, LOCAL_REGISTRY, parseReference, remoteCandidates, type ImageReference } from '../../model/reference.ts';
import type { CredentialsByRegistry } from '../../model/registry-access.ts';
import type { Started, StepContext, StepList } from '../journal.ts';
import type { Caller, Services } from '../services.ts';
import { tryFindImage } from './find.ts';
import { layerReports } from './layer-reports.ts';
import { pullImage } from './pull.ts';
import { pushImage } from './push.ts';

export interface CopyRequest {
  readonly source: string;
  readonly destination: string;
  readonly platform?: Platform | undefined;
  readonly credentials?: CredentialsByRegistry | undefined;
  readonly idempotencyKey?: string | undefined;
}

export interface CopyContext extends StepContext {
  readonly services: Services;
  readonly from: ImageReference;
  readonly to: ImageReference;
  readonly request: CopyRequest;
  digest?: string;
}

export const COPY: StepList<CopyContext> = {
  verb: 'image.copy',
  onCrash: 'undo',
  steps: [{
    name: 'copy',
    async run(context) {
      const { services, from, to, request, signal } = context;
      using reports = layerReports(services.clock, 'copying', context.progress);
      const { digest } = await services.registries.copy(from, to, { credentials: request.credentials ?? {}, signal, platform: request.platform, onLayer: reports.onLayer });
      context.digest = digest;
    },
  }],
};

const isHere = ({ registry }: ImageReference): boolean => registry === undefined || registry === LOCAL_REGISTRY;

export async function copyImage(services: Services, caller: Caller, project: string, request: CopyRequest): Promise<Started> {
  services.registry.get<Project>('Project', '', project);
  const { source, destination, credentials, platform, idempotencyKey } = request;
  const from = parseReference(source);
  const to = parseReference(destination);
  const made = isHere(from) ? tryFindImage(services, project, source) : undefined;
  if (isHere(to)) {
    if (made !== undefined) throw new BerthError('invalid', 'Both names are of this host.', { hint: `Give the image another name: berth image tag ${source} ${destination}` });
    return pullImage(services, caller, project, { reference: source, platform, credentials, as: { ...to, registry: LOCAL_REGISTRY }, idempotencyKey, verb: 'image.copy' });
  }
  if (made !== undefined) return pushImage(services, caller, project, { reference: source, destination, credentials, idempotencyKey, verb: 'image.copy' });
  const [remote] = remoteCandidates(from, services.registries.settings.search);
  if (remote === undefined || remote.registry === LOCAL_REGISTRY) throw new BerthError('notFound', `There is no image '${source}' on this host.`, { hint: '`berth image list` shows what there is.' });
  const context: CopyContext = { services, from: remote, to, request };
  return services.journal.once({ project, key: idempotencyKey, verb: COPY.verb, caller }, () => services.journal.begin({
    list: COPY, target: { kind: 'Image', project, name: canonicalReference(to), id: '' }, caller, context, idempotencyKey, auditDetails: { source: canonicalReference(remote), destination: canonicalReference(to) },
    intent: () => undefined, outcome: () => undefined, failure: () => undefined,
    result: () => ({ reference: canonicalReference(to), digest: context.digest }),
  }));
}
