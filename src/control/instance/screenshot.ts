/** instance.screenshot: what a machine shows on its screen. It is the guest's own word. */
import { BerthError } from '../../model/errors.ts';
import { aForm } from '../../model/forms.ts';
import { bootsItself, type Instance } from '../../model/instance-status.ts';
import { idOf, runtimeOf, type InstanceServices } from './context.ts';

/** PNG. @throws unsupported where there is no screen, wrongState when nothing runs. */
export async function screenshot(services: InstanceServices, instance: Instance): Promise<Uint8Array> {
  const { meta, status } = instance;
  const runtime = runtimeOf(services, instance);
  if (!bootsItself(instance) || runtime.screenshot === undefined) throw new BerthError('unsupported', `'${meta.name}' has no screen: it is ${aForm(status.form)} of an image of layers.`, { hint: `Its console is text: berth console ${meta.name}` });
  return runtime.screenshot(idOf(instance));
}
