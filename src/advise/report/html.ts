/** HTML and SVG put together from values: what is not markup of ours is escaped, whoever wrote it. */
import { terminalSafe } from '../../lib/terminal-safe.ts';

/** Text in elements and in quoted attributes; handed in when a page is written, so that a test can do without. */
export type Escape = (text: string) => string;

/** Made by `html`, or of what is a constant of ours. Nothing is text before it is written. */
export interface Markup {
  readonly write: (escape: Escape) => string;
}

export type Value = string | number | Markup | readonly Value[] | undefined | false;

/** Text in elements and in quoted attributes. Control characters and marks that turn the direction of text are taken out. */
export function escapeHtml(text: string): string {
  return terminalSafe(text).replace(/[&<>"'`]/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** A tag for templates: `html\`<p>${name}</p>\``. Attributes must be quoted in the template. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return { write: (escape) => parts.map((part, at) => (at === 0 ? part : `${written(values[at - 1], escape)}${part}`)).join('') };
}

function written(value: Value, escape: Escape): string {
  if (value === undefined || value === false) return '';
  if (typeof value === 'string') return escape(value);
  if (typeof value === 'number') return String(value);
  return 'write' in value ? value.write(escape) : value.map((one) => written(one, escape)).join('');
}
