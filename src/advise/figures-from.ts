/** Figures of a file: what `berth advise calibrate -o json` wrote. */
import { parseInput } from '../model/define.ts';
import { figures, type Figures } from '../model/figures.ts';

/** @throws BerthError `invalid` with every wrong field by its path. */
export function figuresFrom(content: unknown): Figures {
  return parseInput(figures, content, 'file of figures');
}
