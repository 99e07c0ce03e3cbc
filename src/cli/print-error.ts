/** Errors for people: the sentence, wrong fields, what to do. What the daemon quotes comes from anywhere. */
import { terminalSafe, terminalSafeLine } from '../lib/terminal-safe.ts';
import type { BerthError } from '../model/errors.ts';
import { paint } from './paint.ts';
import type { Stdio } from './stdio.ts';

export async function printError(error: BerthError, original: unknown, stdio: Stdio): Promise<void> {
  const paints = await paint(2, stdio, process.env);
  const lines = [`${paints.red('berth:')} ${terminalSafe(error.message)}`];
  // One wrong field stands in the message already.
  if (error.fields.length > 1) for (const field of error.fields) lines.push(`  ${terminalSafeLine(field.path)}: ${terminalSafeLine(field.message)}`);
  if (error.hint !== undefined) lines.push(`  ${paints.dim('hint:')} ${terminalSafe(error.hint)}`);
  if (process.env['BERTH_DEBUG'] !== undefined && original instanceof Error) lines.push(original.stack ?? '');
  await stdio.err(`${lines.join('\n')}\n`);
}
