/** A fact written as one text: a cell of a table, the value of a label. */
import { parseBytes } from '../lib/bytes.ts';
import type { WorkloadColumn } from '../model/workload-columns.ts';

/** undefined where the text is nothing that the fact could hold. Lists have | between their elements; `-` is an empty one. */
export function factOfText(text: string, { holds, path }: WorkloadColumn): unknown {
  if (holds === 'yes or no') return /^(true|yes|y|1|x)$/i.test(text) ? true : /^(false|no|n|0|-)$/i.test(text) ? false : undefined;
  if (holds === 'number') return numberOf(text, path);
  if (holds === 'text') return text;
  const parts = text === '-' ? [] : text.split('|').map((one) => one.trim()).filter((one) => one !== '');
  if (holds === 'numbers') return parts.map(Number);
  return path === 'privileges.hostPaths' ? parts.map((one) => ({ path: one.replace(/:ro$/, ''), ...(one.endsWith(':ro') ? { readOnly: true } : {}) })) : parts;
}

function numberOf(text: string, path: string): number | undefined {
  if (!path.toLowerCase().endsWith('bytes')) return /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
  try {
    return parseBytes(text);
  } catch {
    return undefined;
  }
}
