/** HTML and SVG put together from values: what is not markup of ours is escaped, whoever wrote it. */
import { terminalSafe } from '../../lib/terminal-safe.ts';

/** Made by `html` alone. */
export interface Markup {
  readonly markup: string;
}

export type Value = string | number | Markup | readonly Value[] | undefined | false;

/** Text in elements and in quoted attributes. Control characters and marks that turn the direction of text are taken out. */
export function escapeHtml(text: string): string {
  return terminalSafe(text).replace(/[&<>"'`]/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** A tag for templates: `html\`<p>${name}</p>\``. Attributes must be quoted in the template. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return { markup: parts.map((part, at) => (at === 0 ? part : `${markupOf(values[at - 1])}${part}`)).join('') };
}

function markupOf(value: Value): string {
  if (value === undefined || value === false) return '';
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return 'markup' in value ? value.markup : value.map(markupOf).join('');
}
