/** A field that a form cannot honour is refused with the reason of the model, never ignored. */
import { fieldRows } from '../../model/define.ts';
import { BerthError } from '../../model/errors.ts';
import { aForm, type Form } from '../../model/forms.ts';
import { instanceSpec, type InstanceSpec } from '../../model/instance.ts';

/** @throws unsupported naming every field that asks for something this form does not have. */
export function assertHonoured(spec: InstanceSpec, form: Form): void {
  const fields = fieldRows(instanceSpec).flatMap(({ path, traits }) => {
    const meaning = traits.means[form];
    return typeof meaning === 'string' || isUnset(spec[path as keyof InstanceSpec]) ? [] : [{ path: `spec.${path}`, message: meaning.refused }];
  });
  const first = fields[0];
  if (first !== undefined) throw new BerthError('unsupported', `${first.path.slice(5)} cannot be had with ${aForm(form)}: ${first.message}`, { fields, hint: 'docs/reference/fields.md says what each field means in each form.' });
}

/** Says nothing: missing, or as it is without it. */
export function isUnset(value: unknown): boolean {
  return value === undefined || value === false || (Array.isArray(value) && value.length === 0);
}
