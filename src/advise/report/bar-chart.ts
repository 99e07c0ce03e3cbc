/** Horizontal bars as inline SVG: no script, no font, no file from elsewhere; each number stands beside its bar as text. */
import { html, type Markup } from './html.ts';

/** Each at least 4.5 : 1 against white; the first ones are told apart in shades of grey, too. */
export const COLOURS = ['#1e3a5f', '#b45309', '#0f766e', '#7e22ce', '#9f1239', '#475569'] as const;

export interface Bar {
  readonly label: string;
  readonly parts: readonly { readonly value: number; readonly colour: number }[];
  /** Written behind the bar. */
  readonly text: string;
  /** A line above the bar that begins a group of bars. */
  readonly group?: string | undefined;
}

export interface BarChart {
  /** Unique on the page. */
  readonly id: string;
  readonly title: string;
  /** What somebody is told who cannot see it: all numbers stand in the table beside it. */
  readonly description: string;
  readonly bars: readonly Bar[];
  /** By colour; missing where one colour says nothing. */
  readonly legend?: readonly string[] | undefined;
}

const WIDTH = 760;
const LABEL_WIDTH = 240;
const TEXT_WIDTH = 170;
const BAR = 22;
const STEP = 30;
const GROUP = 26;
const LEGEND = 26;

export function barChart({ id, title, description, bars, legend = [] }: BarChart): Markup {
  const largest = Math.max(...bars.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0)), Number.MIN_VALUE);
  const scale = (WIDTH - LABEL_WIDTH - TEXT_WIDTH) / largest;
  let y = legend.length === 0 ? 6 : LEGEND + 10;
  const rows = bars.map((bar) => {
    const head = bar.group === undefined ? undefined : html`<text x="0" y="${(y += GROUP) - 8}" class="group">${bar.group}</text>`;
    const top = y;
    y += STEP;
    let x = LABEL_WIDTH;
    const parts = bar.parts.map(({ value, colour }) => {
      const width = value * scale;
      const from = x;
      x += width;
      // A white gap parts neighbours for those who see no colours.
      return width < 0.5 ? undefined : html`<rect x="${round(from)}" y="${top}" width="${round(Math.max(0.5, width - 1.5))}" height="${BAR}" fill="${COLOURS[colour % COLOURS.length]!}"/>`;
    });
    return html`${head}<text x="${LABEL_WIDTH - 10}" y="${top + 15}" text-anchor="end">${shortened(bar.label)}</text>${parts}<text x="${round(x + 8)}" y="${top + 15}" class="value">${bar.text}</text>`;
  });
  return html`<svg role="img" aria-labelledby="${id}-title ${id}-description" viewBox="0 0 ${WIDTH} ${y + 4}" xmlns="http://www.w3.org/2000/svg"><title id="${id}-title">${title}</title><desc id="${id}-description">${description}</desc>${legendOf(legend)}${rows}</svg>`;
}

function legendOf(words: readonly string[]): Markup[] {
  let x = 0;
  return words.map((word, colour) => {
    const from = x;
    x += 34 + word.length * 7;
    return html`<rect x="${from}" y="4" width="14" height="14" fill="${COLOURS[colour % COLOURS.length]!}"/><text x="${from + 20}" y="16">${word}</text>`;
  });
}

function shortened(label: string): string {
  const letters = [...label];
  return letters.length > 34 ? `${letters.slice(0, 33).join('')}…` : label;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
