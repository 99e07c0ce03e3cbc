/** What the benchmarks print: a line of JSON for each figure as it is known, and a table at the end. */
import { spawn } from 'node:child_process';
import { loadavg } from 'node:os';
import { median } from '../../src/lib/statistics.ts';
import { textTable } from '../../src/lib/text-table.ts';

export interface Floor {
  readonly name: string;
  readonly value: number;
}

export class Figures {
  readonly #rows: string[][] = [];

  tell(what: string, value: number, unit: string, floor?: Floor): void {
    const load = Number(loadavg()[0]!.toFixed(1));
    const ratio = floor === undefined ? undefined : value / floor.value;
    console.log(JSON.stringify({ what, [unit]: rounded(value), ...(floor === undefined ? {} : { floor: floor.name, floorValue: rounded(floor.value), ratio: rounded(ratio!) }), load }));
    this.#rows.push([what, `${rounded(value)} ${unit}`, floor === undefined ? '' : `${rounded(floor.value)} (${floor.name})`, ratio === undefined ? '' : `${ratio.toFixed(2)} ×`, String(load)]);
  }

  /** What could not be measured, and why. */
  without(what: string, reason: string): void {
    console.log(JSON.stringify({ what, without: reason }));
    this.#rows.push([what, '–', reason, '', '']);
  }

  table(): string {
    return textTable([{ title: 'what' }, { title: 'measured', align: 'right' }, { title: 'floor', align: 'right' }, { title: 'ratio', align: 'right' }, { title: 'load', align: 'right' }], this.#rows, { width: 160 });
  }
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}

export async function timed(work: () => unknown): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** Milliseconds, median; the first round is thrown away. */
export async function times(count: number, work: () => unknown): Promise<number> {
  await work();
  const all: number[] = [];
  for (let round = 0; round < count; round++) all.push(await timed(work));
  return median(all);
}

/** What a program prints; it sees no terminal. Throws unless it ends with 0. */
export function printed(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => { text += part; });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`${program} ${args.join(' ')} ended with ${code}`))));
  });
}
