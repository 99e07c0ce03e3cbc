/** Every step of every long verb. */
import type { StepList } from './journal.ts';
import { IMAGE_STEP_LISTS } from './image/step-lists.ts';
import { INSTANCE_STEP_LISTS } from './instance/step-lists.ts';
import { CREATE_NETWORK, DELETE_NETWORK } from './network/network.ts';
import { CREATE_VOLUME, DELETE_VOLUME } from './volume/volume.ts';

export const STEP_LISTS: readonly StepList<never>[] = [...INSTANCE_STEP_LISTS, CREATE_NETWORK, DELETE_NETWORK, CREATE_VOLUME, DELETE_VOLUME, ...IMAGE_STEP_LISTS] as readonly StepList<never>[];
