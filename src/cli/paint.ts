/** Colours: only on a terminal, and not where NO_COLOR is set (no-color.org) or the terminal is dumb. */
import type { Stdio } from './stdio.ts';

export interface Paint {
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  bold(text: string): string;
  dim(text: string): string;
}

const plain = (text: string): string => text;
const NO_PAINT: Paint = { red: plain, green: plain, yellow: plain, bold: plain, dim: plain };
const code = (on: number, off: number) => (text: string): string => (text === '' ? '' : `\x1b[${on}m${text}\x1b[${off}m`);
const COLOURS: Paint = { red: code(31, 39), green: code(32, 39), yellow: code(33, 39), bold: code(1, 22), dim: code(2, 22) };

export async function paint(descriptor: 1 | 2, stdio: Stdio, env: Readonly<Record<string, string | undefined>>): Promise<Paint> {
  if ((env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return NO_PAINT;
  return (await stdio.isTerminal(descriptor)) ? COLOURS : NO_PAINT;
}
