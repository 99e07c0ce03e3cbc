/** Routes that look behind the scenes. */
import type { Handler } from '../context.ts';
import { findLeaks } from '../../control/leaks.ts';
import { STEP_LISTS } from '../../control/step-lists.ts';

export const debugRoutes: Readonly<Record<string, Handler>> = {
  'debug.leaks': async (call) => ({ leaks: await findLeaks(call.edge.control.services) }),
  'debug.steps': async () => ({ steps: STEP_LISTS.flatMap((list) => list.steps.map((step) => ({ verb: list.verb, step: step.name, undo: step.undo !== undefined, onCrash: list.onCrash }))) }),
};
