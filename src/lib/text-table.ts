/** Tables for terminals: columns as wide as they must be, and no line longer than the terminal. */
import { terminalSafeLine } from './terminal-safe.ts';

export interface Column {
  readonly title: string;
  /** `right` is for numbers: such a column is cut last. */
  readonly align?: 'left' | 'right';
}

export interface TableOptions {
  /** Cells of the terminal; without it nothing is cut. */
  readonly width?: number | undefined;
  /** Cells between two columns; 2 when missing. */
  readonly gap?: number;
}

const MIN_COLUMN = 4;

/**
 * Lines, each ended by a line feed; the first has the titles. Cells come from anywhere: control characters are taken
 * out here. Too long cells end in “…”.
 */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[], { width, gap = 2 }: TableOptions = {}): string {
  const cells = [columns.map(({ title }) => measured(title)), ...rows.map((row) => columns.map((_, i) => measured(row[i] ?? '')))];
  const natural = columns.map((_, i) => cells.reduce((widest, row) => Math.max(widest, row[i]!.width), 0));
  const widths = width === undefined ? natural : fit(natural, columns, width - gap * (columns.length - 1));
  const between = ' '.repeat(gap);
  let text = '';
  for (const row of cells) {
    let line = '';
    for (let i = 0; i < row.length; i++) line += (i === 0 ? '' : between) + placed(row[i]!, widths[i]!, columns[i]!.align === 'right');
    line = line.trimEnd();
    text += `${width === undefined ? line : truncate(line, width)}\n`;
  }
  return text;
}

interface Measured {
  readonly text: string;
  readonly width: number;
}

/** Nearly all cells are plain: they are looked at once. */
function measured(text: string): Measured {
  if (PLAIN.test(text)) return { text, width: text.length };
  const safe = terminalSafeLine(text);
  return { text: safe, width: displayWidth(safe) };
}

function placed(cell: Measured, width: number, isRight: boolean): string {
  const { text, width: used } = cell.width <= width ? cell : measured(truncate(cell.text, width));
  const blank = ' '.repeat(Math.max(0, width - used));
  return isRight ? blank + text : text + blank;
}

/** Takes cells from the widest columns until the sum fits: first from text, then from numbers; from the first column, which tells the rows apart, when nothing else is left. */
function fit(natural: readonly number[], columns: readonly Column[], room: number): number[] {
  const widths = [...natural];
  const isText = columns.map(({ align }) => align !== 'right');
  for (const may of [isText.map((text, i) => text && i > 0), columns.map((_, i) => i > 0), columns.map(() => true)]) {
    for (let over = sum(widths) - room; over > 0; over = sum(widths) - room) {
      const open = widths.map((width, i) => (may[i]! && width > MIN_COLUMN ? width : 0));
      const widest = Math.max(...open);
      if (widest === 0) break;
      const second = Math.max(MIN_COLUMN, ...open.filter((width) => width < widest));
      const level = open.flatMap((width, i) => (width === widest ? [i] : []));
      const each = Math.max(1, Math.min(widest - second, Math.floor(over / level.length)));
      for (const i of level.slice(0, Math.ceil(over / each))) widths[i]! -= each;
    }
  }
  return widths;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

// Made at the first text that needs it: a millisecond of every start otherwise.
let segmenter: Intl.Segmenter | undefined;

function graphemes(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return segmenter.segment(text);
}

const PLAIN = /^[\x20-\x7e]*$/;
const ZERO = /^[\p{M}\p{Cf}\p{Cc}\u{1160}-\u{11ff}]+$/u;
// East Asian Wide and Fullwidth (Unicode TR 11), and emoji that terminals show in two cells.
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\p{Emoji}\ufe0f/u;

function graphemeWidth(grapheme: string): number {
  if (ZERO.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
}

/** Cells that a terminal needs for text without control characters. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes(text)) width += graphemeWidth(segment);
  return width;
}

/** At most `width` cells; when something had to go, the last one is “…”. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width < 1) return '';
  if (PLAIN.test(text)) return `${text.slice(0, width - 1)}…`;
  let kept = '';
  let used = 0;
  for (const { segment } of graphemes(text)) {
    const cells = graphemeWidth(segment);
    if (used + cells > width - 1) break;
    kept += segment;
    used += cells;
  }
  return `${kept}…`;
}
