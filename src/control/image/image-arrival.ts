/** Verbs that bring an image in: its object is written together with their success, so that one is there when the other says so. */
import type { ContentLease, ImageRecord } from '../../drivers/content/driver.ts';
import type { Image } from '../../model/image.ts';
import type { Job, Started, StepContext } from '../journal.ts';
import type { Services } from '../services.ts';
import { accountsIn, imagesLock, putImage, type ImageEntry, type RecordOptions } from './record-image.ts';

export interface ArrivalContext extends StepContext {
  readonly services: Services;
  readonly project: string;
  /** From the step that brings content in until the operation is over. */
  lease?: ContentLease;
  entry?: ImageEntry;
  image?: Image;
  changed?: boolean;
}

export function holdContent(context: ArrivalContext): ContentLease {
  return context.lease ??= context.services.content.lease();
}

/** The end of the step: all of it is here, and has no object yet. */
export async function arrived(context: ArrivalContext, record: ImageRecord, references: readonly string[]): Promise<void> {
  context.entry = { record, references, accounts: await accountsIn(context.services, record) };
}

export async function beginArrival<C extends ArrivalContext>(context: C, event: NonNullable<RecordOptions['event']>, job: Omit<Job<C>, 'context' | 'intent' | 'outcome' | 'finishing' | 'failure'>): Promise<Started> {
  const { services, project } = context;
  const entry = (): ImageEntry => {
    if (context.entry === undefined) throw new TypeError('the image did not arrive');
    return context.entry;
  };
  const started = await services.journal.begin<C>({
    ...job, context, intent: () => undefined, failure: () => undefined,
    outcome(transaction) {
      const { image, isNew } = putImage(services, project, transaction, entry(), { event });
      context.image = image;
      context.changed = isNew;
    },
    finishing: (commit) => services.locks.hold(imagesLock(project), event, async () => {
      const finished = await commit();
      services.content.settled(entry().record);
      return finished;
    }),
  });
  void started.done.then(() => context.lease?.[Symbol.dispose]());
  return started;
}
