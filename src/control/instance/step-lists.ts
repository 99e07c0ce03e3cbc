/** Which steps each long verb of an instance has. `berth debug steps` prints this; the kill harness walks it. */
import type { StepList } from '../journal.ts';
import { idOf, runtimeOf, type InstanceContext } from './context.ts';
import { endWorkload } from './end.ts';
import { changeLimits } from './limits.ts';
import { clear, makeRoot, removeRest, startSteps, tearDown } from './steps.ts';
import { makeVolumes } from './volumes.ts';

type List = StepList<InstanceContext>;

/** Made and left stopped. */
export const CREATE: List = { verb: 'instance.create', steps: [makeVolumes, makeRoot], onCrash: 'undo' };
/** Made and started in one go: two commits in all. */
export const CREATE_AND_START: List = { verb: 'instance.create', steps: [makeVolumes, makeRoot, ...startSteps], onCrash: 'undo' };
export const START: List = { verb: 'instance.start', steps: [clear, ...startSteps], onCrash: 'undo' };
export const STOP: List = { verb: 'instance.stop', steps: [endWorkload, ...tearDown], onCrash: 'finish' };
/** Of one that runs and gets other limits; everything else is written down alone. */
export const UPDATE: List = { verb: 'instance.update', steps: [changeLimits], onCrash: 'undo' };
export const DELETE: List = {
  verb: 'instance.delete',
  steps: [
    { name: 'kill', run: ({ services, instance }) => runtimeOf(services, instance).remove(idOf(instance), { keepLog: true }) },
    ...tearDown.filter((step) => step.name !== 'unit'), ...removeRest,
  ],
  onCrash: 'finish',
};

export const INSTANCE_STEP_LISTS: readonly List[] = [CREATE_AND_START, START, STOP, UPDATE, DELETE];
