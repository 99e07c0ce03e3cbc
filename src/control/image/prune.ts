/** image.prune: images that nothing uses go, and all content that belongs to none. */
import type { Image } from '../../model/image.ts';
import type { Project } from '../../model/project.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import type { Caller, Services } from '../services.ts';
import { imagesLock } from './record-image.ts';
import { isInUse, sweepContent } from './sweep.ts';

export interface PruneResult {
  readonly deleted: readonly { readonly id: string; readonly references: readonly string[] }[];
  readonly freedBytes: number;
}

/** `all`: also those with a name. What an instance uses, in whatever state, stays. */
export async function pruneImages(services: Services, caller: Caller, project: string, all: boolean): Promise<PruneResult> {
  const { registry, journal } = services;
  registry.get<Project>('Project', '', project);
  return journal.records.audited(caller, 'image.prune', { kind: 'Image', project, name: all ? 'all' : 'unnamed', id: '' }, { all }, async () => {
    const deleted = await services.locks.hold(imagesLock(project), 'image.prune', async () => {
      const gone: { id: string; references: readonly string[] }[] = [];
      for (const image of registry.list<Image>('Image', project)) {
        // Asked again for each, right before its commit: an instance may have been made meanwhile.
        if ((!all && image.spec.references.length > 0) || isInUse(services, image)) continue;
        const transaction = new Transaction().unchanged(image).delete(image);
        journal.records.event(transaction, 'image.deleted', targetOf(image), `Image ${image.spec.references[0] ?? image.meta.name} was deleted: nothing used it.`);
        await registry.commit(transaction);
        gone.push({ id: image.meta.name, references: image.spec.references });
      }
      return gone;
    });
    return { deleted, freedBytes: await sweepContent(services, { arrivals: true }) };
  });
}
