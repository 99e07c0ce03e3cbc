/** image.pull: an image from a registry, under the name that it has there. */
import type { FetchedImage } from '../../drivers/content/driver.ts';
import { BerthError } from '../../model/errors.ts';
import { printable } from '../../model/ids.ts';
import type { Platform } from '../../model/platform.ts';
import type { Project } from '../../model/project.ts';
import { canonicalReference, LOCAL_REGISTRY, parseReference, remoteCandidates, type ImageReference } from '../../model/reference.ts';
import type { CredentialsByRegistry } from '../../model/registry-access.ts';
import type { Started, StepList } from '../journal.ts';
import type { Target } from '../records.ts';
import type { Caller, Services } from '../services.ts';
import { arrived, beginArrival, holdContent, type ArrivalContext } from './image-arrival.ts';
import { layerReports } from './layer-reports.ts';

export interface PullRequest {
  readonly reference: string;
  readonly platform?: Platform | undefined;
  readonly credentials?: CredentialsByRegistry | undefined;
  /** Names beside the one that it has there; for `image copy` to this host. */
  readonly as?: ImageReference | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly verb?: 'image.pull' | 'image.copy' | undefined;
}

export interface PullContext extends ArrivalContext {
  readonly request: PullRequest;
  readonly candidates: readonly ImageReference[];
  fetched?: { readonly from: ImageReference; readonly record: FetchedImage };
}

export const PULL: StepList<PullContext> = {
  verb: 'image.pull',
  // What came in has no owner yet: the next sweep takes it, or the next pull goes on with it.
  onCrash: 'undo',
  steps: [{ name: 'fetch', run: pullContent }],
};

async function pullContent(context: PullContext): Promise<void> {
  const { services, request } = context;
  const lease = holdContent(context);
  using reports = layerReports(services.clock, 'pulling', context.progress);
  const { from, record } = await fetchFirst(context, (reference) => services.content.fetchImage(
    services.registries.image(reference, { credentials: request.credentials ?? {}, signal: context.signal }),
    { platform: request.platform, signal: context.signal, onLayer: reports.onLayer, lease },
  ));
  context.signal?.throwIfAborted();
  context.fetched = { from, record };
  await arrived(context, { ...record, names: [] }, [request.as === undefined ? pulledName(from) : canonicalReference(request.as)]);
}

/** The next registry of the search list is asked only when one says that it has no such image: not when it does not answer. */
async function fetchFirst(context: PullContext, fetch: (reference: ImageReference) => Promise<FetchedImage>): Promise<{ readonly from: ImageReference; readonly record: FetchedImage }> {
  const { candidates, request } = context;
  for (const [index, from] of candidates.entries()) {
    try {
      return { from, record: await fetch(from) };
    } catch (error) {
      if (!(error instanceof BerthError) || error.code !== 'notFound') throw error;
      if (candidates.length === 1) throw error;
      if (index === candidates.length - 1) throw new BerthError('notFound', `None of ${candidates.map((one) => one.registry).join(', ')} has an image '${printable(request.reference)}'.`, { hint: 'Write the registry in front of the name.', cause: error });
    }
  }
  throw new BerthError('invalid', `'${printable(request.reference)}' is a short name, and no registry is searched for those.`, { hint: 'Write the registry in front of the name, or name one under `search` in registries.yaml.' });
}

/** With a digest the name is that of the digest: a tag beside it promises nothing. */
function pulledName(reference: ImageReference): string {
  return canonicalReference(reference.digest === undefined ? reference : { ...reference, tag: undefined });
}

export async function pullImage(services: Services, caller: Caller, project: string, request: PullRequest): Promise<Started> {
  services.registry.get<Project>('Project', '', project);
  const candidates = remoteReferences(services, request.reference);
  const target: Target = { kind: 'Image', project, name: canonicalReference(candidates[0] ?? parseReference(request.reference)), id: '' };
  const context: PullContext = { services, project, request, candidates };
  return services.journal.once({ project, key: request.idempotencyKey, verb: PULL.verb, caller }, () => beginArrival(context, 'image.pulled', {
    list: PULL, target, caller, idempotencyKey: request.idempotencyKey, auditVerb: request.verb, auditDetails: { reference: request.reference },
    result: () => pullResult(context),
  }));
}

function pullResult({ image, fetched, changed, request }: PullContext): Readonly<Record<string, unknown>> {
  if (image === undefined || fetched === undefined) throw new TypeError('the image was not pulled');
  return { reference: request.as === undefined ? pulledName(fetched.from) : canonicalReference(request.as), imageId: image.meta.name, digest: image.status.digest, namedDigest: fetched.record.namedDigest, changed: changed === true };
}

/** Where a name may lead to: never to what was made on this host. */
export function remoteReferences(services: Pick<Services, 'registries'>, text: string): readonly ImageReference[] {
  const reference = parseReference(text);
  if (reference.registry === LOCAL_REGISTRY) throw new BerthError('invalid', `'${printable(text)}' names an image of this host: no registry has it.`, { hint: 'A registry on this host has a port: localhost:5000/NAME.' });
  return remoteCandidates(reference, services.registries.settings.search);
}
