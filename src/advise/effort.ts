/** What it takes to get from what exists to a form, in one sentence. */
import type { Form } from '../model/forms.ts';
import type { WorkloadSpec } from '../model/workload.ts';

export function effortTo(form: Form, spec: WorkloadSpec): string {
  const { change, source, inside } = spec;
  if (change?.currentForm === form) return 'None: it is that today.';
  const isImage = source?.kind === 'image' || source?.image !== undefined;
  if (form === 'osContainer' || form === 'vm') {
    const machine = change?.currentForm === 'vm' || change?.currentForm === 'physical' || change?.currentForm === 'osContainer';
    if (machine) return form === 'osContainer' ? 'Small: its file system is taken over as it is (lift and shift); boot it beside the old one and compare.' : 'Small: its disk is taken over as it is.';
    return isImage ? 'Medium: a system with an init must be set up around what the image holds.' : 'Small: install it once as it is installed today, then move its data (lift and shift).';
  }
  const steps: string[] = [];
  if ((inside?.applications ?? 1) > 1) steps.push(`take its ${inside!.applications} applications apart`);
  if (!isImage && change?.packagingExists !== true) steps.push('write a build that makes an image of it');
  if (change?.testsExist === false) steps.push('write tests that say whether it still works');
  if (inside?.manualChanges === true) steps.push('turn what was changed by hand into the build and its configuration');
  if (inside?.sshLogins === true) steps.push('give people another way than ssh to do what they do there');
  if (spec.state?.kind === 'files' || spec.state?.kind === 'database') steps.push('move its data to a volume');
  if (steps.length === 0) return isImage ? 'None to speak of: its image runs as it is.' : 'Small: make an image with the build that exists.';
  const size = steps.length === 1 ? 'Medium' : 'Large';
  return `${size}: ${steps.length === 1 ? steps[0]! : `${steps.slice(0, -1).join(', ')} and ${steps.at(-1)!}`}.`;
}
