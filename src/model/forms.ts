/** The four forms, and what each word of the decision means (design: `isolation` × `mode`). */

export const ISOLATIONS = ['container', 'vm', 'auto'] as const;
export type Isolation = (typeof ISOLATIONS)[number];
export type SettledIsolation = Exclude<Isolation, 'auto'>;

export const MODES = ['app', 'os'] as const;
export type Mode = (typeof MODES)[number];

export const FORMS = ['appContainer', 'osContainer', 'microVM', 'vm'] as const;
export type Form = (typeof FORMS)[number];

/** The boundary that is really there: namespaces, a VM on working KVM, or a VM without it (no security boundary). */
export const BOUNDARIES = ['kernel', 'hardware', 'emulated'] as const;
export type Boundary = (typeof BOUNDARIES)[number];

export function formOf(isolation: SettledIsolation, mode: Mode): Form {
  if (isolation === 'container') return mode === 'app' ? 'appContainer' : 'osContainer';
  return mode === 'app' ? 'microVM' : 'vm';
}

/** How a form is written for people. */
export const FORM_LABEL: Readonly<Record<Form, string>> = {
  appContainer: 'app container',
  osContainer: 'OS container',
  microVM: 'microVM',
  vm: 'VM',
};

/** `an app container`, within a sentence. */
export function aForm(form: Form): string {
  return `${isVmForm(form) ? 'a' : 'an'} ${FORM_LABEL[form]}`;
}

/** Has it a kernel of its own? */
export function isVmForm(form: Form): boolean {
  return form === 'microVM' || form === 'vm';
}
