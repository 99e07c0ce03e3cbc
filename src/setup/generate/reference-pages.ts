/** Pages of docs/reference that follow from the kinds: fields × forms, states, defaults, the API. */
import * as z from 'zod';
import { fieldRows, unwrap, type Meaning } from '../../model/define.ts';
import { FORM_LABEL, FORMS } from '../../model/forms.ts';
import { APP_CAPABILITIES, FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import { STATE_RULES } from '../../model/instance-status.ts';
import { KINDS } from '../../model/kinds.ts';
import { openapiDocument } from '../../model/openapi.ts';
import packageFile from '../../../package.json' with { type: 'json' };
import { NOTICE, table } from './markdown.ts';

export function openapiText(): string {
  return `${JSON.stringify(openapiDocument(packageFile.version), undefined, 2)}\n`;
}

function meaning(text: Meaning): string {
  return typeof text === 'string' ? text : `**refused**: ${text.refused}`;
}

export function typeOf(schema: z.ZodType): string {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodEnum) return inner.options.map(String).join(' \\| ');
  if (inner instanceof z.ZodArray) return `list of ${typeOf(inner.element as z.ZodType)}`;
  const name = inner.constructor.name.replace(/^Zod/, '').toLowerCase();
  return name === 'record' ? 'map' : name;
}

/** Every field of every kind that people write, and what it means in each form. */
export function fieldsPage(): string {
  const parts = Object.values(KINDS).flatMap((kind) => {
    if (kind.spec === undefined) return [];
    const rows = fieldRows(kind.spec).map((row) => [
      `\`${row.path}\``, `${row.describe}${row.traits.flag === undefined ? '' : ` \`--${row.traits.flag}\``}`, typeOf(row.schema), row.traits.change,
      ...FORMS.map((form) => meaning(row.traits.means[form])),
    ]);
    return [`## ${kind.kind}\n\n${kind.summary}\n\n${table(['field', 'what', 'type', 'change', ...FORMS.map((form) => FORM_LABEL[form])], rows)}`];
  });
  return `${NOTICE}# Fields\n\nOne field has one meaning, written for each form. “change” says when a change reaches a running instance: \`live\`, at its next start (\`restart\`), or \`never\`. What a form cannot honour is refused with the reason.\n\n${parts.join('\n')}`;
}

export function statesPage(): string {
  const states = Object.entries(STATE_RULES).map(([state, rule]) => [`\`${state}\``, rule.means, rule.verbs.join(', ') || '–', rule.adoption]);
  const MIB = 1024 * 1024;
  const defaults = FORMS.map((form) => {
    const one = FORM_DEFAULTS[form];
    return [FORM_LABEL[form], `${one.memoryBytes / MIB} MiB`, one.cpus === undefined ? 'no quota' : String(one.cpus), one.pids === undefined ? 'the guest’s own' : String(one.pids), `${one.nofile.soft}:${one.nofile.hard}`, `${one.log.maxBytes / MIB} MiB × ${one.log.maxFiles}`, `${one.stopGraceMs / 1000} s, ${one.stopSignal}`, one.restart];
  });
  return `${NOTICE}# States and defaults\n\n## States of an instance\n\n\`get\`, \`list\`, \`logs\`, \`wait\` and \`delete --force\` are allowed in every state.\n\n${table(['state', 'means', 'verbs', 'what the next daemon does with it'], states)}\n## Defaults of each form\n\n${table(['form', 'memory', 'cpus', 'pids', 'open files', 'log', 'stop', 'restart'], defaults)}\nCapabilities of the app forms: ${APP_CAPABILITIES.join(', ')}.\n`;
}
