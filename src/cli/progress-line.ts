/** How far an operation is: one line that changes on a terminal, a line a step off it. On standard error. */
import { formatBytes } from '../lib/bytes.ts';
import { truncate } from '../lib/text-table.ts';
import { terminalSafeLine } from '../lib/terminal-safe.ts';
import type { Operation } from '../model/operation.ts';
import type { Context } from './command.ts';

export interface ProgressLine {
  show(operation: Operation): Promise<void>;
  clear(): Promise<void>;
}

const BAR_CELLS = 24;

export async function progressLine({ stdio }: Pick<Context, 'stdio'>): Promise<ProgressLine> {
  if (!(await stdio.isTerminal(2))) {
    let last = '';
    return {
      async show(operation) {
        const text = `${subject(operation)}: ${whatNow(operation)}`;
        if (text === last) return;
        last = text;
        await stdio.err(`${text}\n`);
      },
      clear: async () => undefined,
    };
  }
  let shown = false;
  const columns = (await stdio.size())?.columns ?? 80;
  return {
    async show(operation) {
      shown = true;
      await stdio.err(`\r\x1b[K${truncate(`${subject(operation)}  ${whatNow(operation)}${bar(operation)}`, columns - 1)}`);
    },
    async clear() {
      if (shown) await stdio.err('\r\x1b[K');
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
