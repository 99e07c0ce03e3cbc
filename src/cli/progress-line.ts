/** How far an operation is: one line that changes on a terminal, a line a step off it. On standard error. */
import { formatBytes } from '../lib/bytes.ts';
import { truncate } from '../lib/text-table.ts';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import type { LayerProgress } from '../model/layer-progress.ts';
import type { Operation } from '../model/operation.ts';
import type { Context } from './command.ts';
import { layerBlock, layerChanges } from './layer-lines.ts';

export interface ProgressLine {
  show(operation: Operation): Promise<void>;
  clear(): Promise<void>;
}

const BAR_CELLS = 24;

export async function progressLine({ stdio }: Pick<Context, 'stdio'>): Promise<ProgressLine> {
  if (!(await stdio.isTerminal(2))) {
    let last = '';
    const told = new Map<string, LayerProgress['state']>();
    return {
      async show(operation) {
        const { layers } = operation.status.progress ?? {};
        if (layers !== undefined) {
          const lines = layerChanges(told, layers);
          return lines.length === 0 ? undefined : stdio.err(`${lines.join('\n')}\n`);
        }
        const text = `${subject(operation)}: ${whatNow(operation)}`;
        if (text === last) return;
        last = text;
        await stdio.err(`${text}\n`);
      },
      clear: async () => undefined,
    };
  }
  /** Rows of the terminal that are ours: the cursor stands in the last of them. */
  let rows = 0;
  const size = (await stdio.size()) ?? { rows: 24, columns: 80 };
  const home = (): string => (rows > 1 ? `\r\x1b[${rows - 1}A\x1b[J` : '\r\x1b[K');
  return {
    async show(operation) {
      const { layers } = operation.status.progress ?? {};
      const lines = layers === undefined || operation.status.state !== 'running'
        ? [truncate(`${subject(operation)}  ${whatNow(operation)}${bar(operation)}`, size.columns - 1)] : layerBlock(subject(operation), layers, size);
      const before = home();
      rows = lines.length;
      await stdio.err(`${before}${lines.join('\n')}`);
    },
    async clear() {
      if (rows > 0) await stdio.err(home());
      rows = 0;
    },
  };
}

function subject({ spec }: Operation): string {
  return terminalSafeLine(`${spec.verb} ${spec.target.name}`.trim());
}

export function whatNow({ spec, status }: Operation): string {
  if (status.state === 'undoing') return 'undoing';
  const what = status.progress?.what ?? spec.steps[status.step] ?? '';
  return terminalSafeLine(what);
}

export function bar({ status }: Operation): string {
  const { progress } = status;
  if (progress === undefined || progress.done === 0) return '';
  const amount = (value: number): string => (progress.unit === 'bytes' ? formatBytes(value) : `${value}${progress.unit === '' ? '' : ` ${terminalSafeLine(progress.unit)}`}`);
  if (progress.total === undefined || progress.total <= 0) return `  ${amount(progress.done)}`;
  const part = Math.min(1, progress.done / progress.total);
  const filled = Math.round(part * BAR_CELLS);
  return `  ${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${String(Math.floor(part * 100)).padStart(3)} %  ${amount(progress.done)} of ${amount(progress.total)}`;
}
