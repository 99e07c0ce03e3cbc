/** The step of instance.update that reaches what runs. */
import type { ResourcePlan } from '../../drivers/runtime/driver.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import type { Step } from '../journal.ts';
import { idOf, runtimeOf, type InstanceContext } from './context.ts';
import { resourcePlan } from './resources.ts';

export interface LimitsContext extends InstanceContext {
  /** What it is to be; the instance of the context has what it was. */
  readonly wished?: InstanceSpec | undefined;
  /** What it gets with its next start only. */
  waits?: readonly (keyof ResourcePlan)[] | undefined;
}

export const changeLimits: Step<InstanceContext> = {
  name: 'limits',
  async run(context: LimitsContext) {
    const { services, instance } = context;
    context.waits = await runtimeOf(services, instance).update(idOf(instance), resourcePlan(context.wished ?? instance.spec, instance.status.form));
  },
  async undo({ services, instance }) {
    const runtime = runtimeOf(services, instance);
    if ((await runtime.observe(idOf(instance))).state === 'running') await runtime.update(idOf(instance), resourcePlan(instance.spec, instance.status.form));
  },
};
