/** image.push: an image of this host to a registry, byte for byte. */
import { BerthError } from '../../model/errors.ts';
import { printable } from '../../model/ids.ts';
import { imageType, type Image } from '../../model/image.ts';
import type { Project } from '../../model/project.ts';
import { canonicalReference, LOCAL_REGISTRY, parseReference, type ImageReference } from '../../model/reference.ts';
import type { CredentialsByRegistry } from '../../model/registry-access.ts';
import type { Started, StepContext, StepList } from '../journal.ts';
import type { Target } from '../records.ts';
import type { Caller, Services } from '../services.ts';
import { findImage, nameOf } from './find.ts';
import { recordOf } from './image.ts';
import { layerReports } from './layer-reports.ts';

export interface PushRequest {
  readonly reference: string;
  /** Where to, when not to where its name says. */
  readonly destination?: string | undefined;
  readonly credentials?: CredentialsByRegistry | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly verb?: 'image.push' | 'image.copy' | undefined;
}

export interface PushContext extends StepContext {
  readonly services: Services;
  readonly project: string;
  readonly image: Image;
  readonly destination: ImageReference;
  readonly credentials: CredentialsByRegistry;
  digest?: string;
}

export const PUSH: StepList<PushContext> = {
  verb: 'image.push',
  // What a registry got and no manifest names is the registry's to sweep.
  onCrash: 'undo',
  steps: [{ name: 'send', run: pushContent }],
};

async function pushContent(context: PushContext): Promise<void> {
  const { services, image, destination, credentials, signal } = context;
  const record = recordOf(image);
  using lease = services.content.lease();
  lease.hold(record.manifestDigest, record.configDigest, ...record.layers.map((layer) => layer.digest));
  using reports = layerReports(services.clock, 'pushing', context.progress);
  const outgoing = await services.content.outgoingImage(record);
  const mountable = repositoriesByLayer(services, context.project, destination);
  const { digest } = await services.registries.push(destination, outgoing, { credentials, signal, onLayer: reports.onLayer, mountFrom: (layer) => mountable.get(layer) ?? [] });
  context.digest = digest;
}

/** Where else the registry may have a layer, by the names of this project's images. */
function repositoriesByLayer({ registry }: Services, project: string, destination: ImageReference): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const image of registry.list<Image>('Image', project)) {
    const repositories = image.spec.references.map(parseReference).filter((one) => one.registry === destination.registry && one.repository !== destination.repository).map((one) => one.repository);
    for (const { digest } of repositories.length === 0 ? [] : image.status.layers) found.set(digest, [...new Set([...(found.get(digest) ?? []), ...repositories])]);
  }
  return found;
}

export async function pushImage(services: Services, caller: Caller, project: string, request: PushRequest): Promise<Started> {
  services.registry.get<Project>('Project', '', project);
  const image = findImage(services, project, request.reference);
  if (imageType(image) !== 'oci') throw new BerthError('unsupported', `'${printable(request.reference)}' is a disk: registries of images take layers.`, { hint: `Write it to a file: berth image export --format raw ${printable(request.reference)} FILE` });
  const destination = destinationOf(services, image, request);
  const target: Target = { kind: 'Image', project, name: canonicalReference(destination), id: image.meta.id };
  const context: PushContext = { services, project, image, destination, credentials: request.credentials ?? {} };
  return services.journal.once({ project, key: request.idempotencyKey, verb: PUSH.verb, caller }, () => services.journal.begin({
    list: PUSH, target, caller, context, idempotencyKey: request.idempotencyKey, auditVerb: request.verb, auditDetails: { reference: canonicalReference(destination), digest: image.status.digest },
    intent: () => undefined, outcome: () => undefined, failure: () => undefined,
    result: () => ({ reference: canonicalReference(destination), digest: context.digest }),
  }));
}

function destinationOf(services: Services, image: Image, { reference, destination }: PushRequest): ImageReference {
  const wanted = destination === undefined ? nameOf(services, image, reference) : parseReference(destination);
  if (wanted === undefined || wanted.registry === undefined || wanted.registry === LOCAL_REGISTRY) {
    const written = printable(destination ?? reference);
    throw new BerthError('invalid', `'${written}' does not say to which registry.`, { hint: `Say where to: berth push ${printable(reference)} HOST/${wanted?.repository ?? 'NAME'}` });
  }
  return wanted;
}
