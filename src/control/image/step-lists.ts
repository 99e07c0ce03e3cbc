/** The long verbs of images. None has anything to take back: what came in and got no name is swept. */
import type { StepList } from '../journal.ts';
import { COPY } from './copy.ts';
import { BOOTSTRAP } from './image.ts';
import { PULL } from './pull.ts';
import { PUSH } from './push.ts';

export const IMAGE_STEP_LISTS: readonly StepList<never>[] = [BOOTSTRAP, PULL, PUSH, COPY] as readonly StepList<never>[];
