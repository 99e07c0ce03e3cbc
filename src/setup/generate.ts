/** Writes the pages of docs/reference that follow from the code; a rule test fails when one of them is not fresh. */
import fs from 'node:fs';
import path from 'node:path';
import { ERROR_RULES } from '../model/errors.ts';
import { VERBS } from '../model/verbs.ts';
import { advisePage } from './generate/advise-page.ts';
import { cliPage } from './generate/cli-page.ts';
import { CLI_TABLES } from './generate/cli-table.ts';
import { NOTICE, table } from './generate/markdown.ts';
import { fieldsPage, openapiText, statesPage } from './generate/reference-pages.ts';

/** Repository path → how its text is made. */
export const GENERATED: Readonly<Record<string, () => string | Promise<string>>> = {
  'docs/reference/errors.md': errorPage,
  'docs/reference/verbs.md': verbPage,
  'docs/reference/fields.md': fieldsPage,
  'docs/reference/states.md': statesPage,
  'docs/reference/openapi.json': openapiText,
  'docs/reference/cli.md': cliPage,
  'docs/reference/advise.md': advisePage,
  ...CLI_TABLES,
};

function errorPage(): string {
  const rows = Object.entries(ERROR_RULES).map(([code, rule]) => [`\`${code}\``, String(rule.httpStatus), String(rule.exitCode), rule.retry ? 'yes' : 'no', rule.means]);
  return `${NOTICE}# Errors\n\nEvery error that Berth reports has one of these codes: in problem+json answers of the API, and as the exit code of the command line. “Retry” says whether the very same request may succeed later. \`berth run\` and \`berth exec\` end with the command's own exit code, or 125 (Berth failed), 126 (cannot be run), 127 (not found).\n\n${table(['code', 'HTTP status', 'exit code', 'retry', 'means'], rows)}`;
}

function verbPage(): string {
  const yes = (value: boolean): string => (value ? 'yes' : '');
  const rows = Object.values(VERBS).map((verb) => [`\`${verb.name}\``, verb.summary, verb.permission, yes(verb.idempotent), yes(verb.long), yes(verb.mutates)]);
  return `${NOTICE}# Verbs\n\nA verb is at once the command's words, the operation's name in the API, the permission, the action in the audit trail and the label of its metrics.\n\n${table(['verb', 'does', 'permission', 'twice is once', 'an operation', 'audited'], rows)}`;
}

async function main(home: string): Promise<void> {
  for (const [file, make] of Object.entries(GENERATED)) {
    const target = path.join(home, file);
    await fs.promises.mkdir(path.dirname(target), { recursive: true });
    await fs.promises.writeFile(target, await make());
    process.stdout.write(`${file}\n`);
  }
}

if (import.meta.main) await main(path.resolve(import.meta.dirname, '../..'));
