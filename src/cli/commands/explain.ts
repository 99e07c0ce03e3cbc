/** `berth explain [KIND[.field]]`: what it means, in each form, with the defaults. Works without a daemon. */
import { formatBytes } from '../../lib/bytes.ts';
import { formatDuration } from '../../lib/duration.ts';
import { nearest } from '../../lib/nearest.ts';
import { BerthError } from '../../model/errors.ts';
import { FORM_LABEL, FORMS } from '../../model/forms.ts';
import { printable } from '../../model/ids.ts';
import { FORM_DEFAULTS, type FormDefaults } from '../../model/instance-defaults.ts';
import { STATE_RULES } from '../../model/instance-status.ts';
import type { Command } from '../command.ts';
import type { FieldEntry, FormMeaning } from '../field-entry.ts';
import { FIELD_TABLE } from '../generated/field-table.ts';
import { FILE_KIND_TABLE, KIND_TABLE } from '../generated/kind-table.ts';
import { kindOf } from '../kind-words.ts';

export const explain: Command = {
  name: 'explain',
  summary: 'Say what a kind, a field or a state means.',
  usage: '[KIND[.FIELD] | states]',
  flags: [],
  words: { min: 0, max: 1 },
  async run(context, words) {
    await context.stdio.out(`${explained(words.words[0]).join('\n')}\n`);
    return 0;
  },
};

/** @throws BerthError `invalid` for unknown kinds and fields, with the nearest known one. */
export function explained(subject: string | undefined): string[] {
  if (subject === undefined) return ['Kinds:', ...[...Object.values(KIND_TABLE), ...Object.values(FILE_KIND_TABLE)].map((one) => `  ${one.singular.padEnd(12)}${one.summary}`), '', '`berth explain instance` lists its fields, `berth explain instance.memoryBytes` says what one means, `berth explain states` what each state allows.'];
  if (subject === 'states') return Object.entries(STATE_RULES).flatMap(([state, rule]) => [state, `  ${rule.means}`, `  verbs: ${rule.verbs.join(', ') || 'none'} (and get, list, logs, wait, delete --force)`]);
  // Most questions are about instances: `berth explain ports`.
  const ofInstance = subject.includes('.') ? undefined : FIELD_TABLE['Instance']!.find((one) => one.path === subject || one.flag === subject);
  if (ofInstance !== undefined && isNoKind(subject)) return fieldLines('instance', ofInstance);
  const [kindWord = '', ...path] = subject.split('.');
  const ofFiles = Object.values(FILE_KIND_TABLE).find((one) => one.singular === kindWord || one.plural === kindWord || one.kind === kindWord);
  const kind = ofFiles ?? kindOf(kindWord);
  const fields = FIELD_TABLE[kind.kind] ?? [];
  const name = (path[0] === 'spec' ? path.slice(1) : path).join('.');
  if (name === '') return [`${kind.kind}: ${kind.summary}`, ...kindLines(fields), ...(kind.kind === 'Instance' ? defaultLines() : [])];
  const field = fields.find((one) => one.path === name || one.flag === name || name.startsWith(`${one.path}.`));
  if (field !== undefined) return ofFiles === undefined ? fieldLines(kind.singular, field) : [`${kind.singular}.${field.path}: ${field.describe}`, '', `  type    ${field.type}`];
  const meant = nearest(name, fields.flatMap((one) => (one.flag === undefined ? [one.path] : [one.path, one.flag])));
  throw new BerthError('invalid', `${kind.kind} has no field '${printable(name)}'.`, { hint: `${meant === undefined ? '' : `Did you mean ${kind.singular}.${meant}? `}\`berth explain ${kind.singular}\` lists the fields.` });
}

function isNoKind(word: string): boolean {
  return [...Object.values(KIND_TABLE), ...Object.values(FILE_KIND_TABLE)].every((one) => one.singular !== word && one.plural !== word);
}

function kindLines(fields: readonly FieldEntry[]): string[] {
  if (fields.length === 0) return ['', 'Only Berth makes these: there is nothing to write.'];
  const width = Math.max(...fields.map((one) => one.path.length)) + 2;
  return ['', 'Fields of spec:', ...fields.map((one) => `  ${one.path.padEnd(width)}${one.describe}`)];
}

function fieldLines(singular: string, field: FieldEntry): string[] {
  const flag = field.flag === undefined ? [] : [`  flag    ${field.short === undefined ? '' : `-${field.short}, `}--${field.flag}${field.value === undefined ? '' : ` ${field.value}`}${field.repeat === true ? ' (may repeat)' : ''}`];
  const change = { live: 'at once', restart: 'with the next start', never: 'never: make another one' }[field.change];
  return [
    `${singular}.${field.path}: ${field.describe}`, '', `  type    ${field.type}`, ...flag, `  change  ${change}`,
    ...(field.secret === true ? ['  secret  never shown in logs, audit records and lists'] : []),
    '', ...FORMS.map((form) => `  ${FORM_LABEL[form].padEnd(14)}${meaningText(field.means[form])}`),
  ];
}

function meaningText(meaning: FormMeaning): string {
  return typeof meaning === 'string' ? meaning : `refused: ${meaning.refused}`;
}

const DEFAULT_ROWS: readonly (readonly [string, (one: FormDefaults) => string])[] = [
  ['memory', (one) => formatBytes(one.memoryBytes)], ['cpus', (one) => (one.cpus === undefined ? 'no quota' : String(one.cpus))], ['cpu weight', (one) => String(one.cpuWeight)],
  ['pids', (one) => (one.pids === undefined ? 'the guest’s' : String(one.pids))], ['nofile', (one) => `${one.nofile.soft}:${one.nofile.hard}`], ['/dev/shm', (one) => formatBytes(one.shmBytes)],
  ['log', (one) => `${formatBytes(one.log.maxBytes)} × ${one.log.maxFiles}`], ['stop', (one) => `${one.stopSignal}, ${formatDuration(one.stopGraceMs)}`], ['restart', (one) => one.restart],
];

function defaultLines(): string[] {
  const cell = (text: string): string => text.padEnd(20);
  return [
    '', 'Defaults, where neither the spec nor the image says otherwise:',
    `  ${cell('')}${FORMS.map((form) => cell(FORM_LABEL[form])).join('')}`.trimEnd(),
    ...DEFAULT_ROWS.map(([title, value]) => `  ${cell(title)}${FORMS.map((form) => cell(value(FORM_DEFAULTS[form]))).join('')}`.trimEnd()),
  ];
}
