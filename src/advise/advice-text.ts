/** An answer in the format that was asked for. */
import { BerthError } from '../model/errors.ts';
import type { AdviceFormat } from '../model/advise-request.ts';
import type { AdvisedFiles } from './advise-files.ts';

export interface AdviceText {
  readonly contentType: string;
  readonly text: string;
}

export function adviceText(advised: AdvisedFiles, format: AdviceFormat): AdviceText {
  if (format === 'json') return { contentType: 'application/json', text: `${JSON.stringify(advised.document, undefined, 2)}\n` };
  throw new BerthError('unsupported', `The format ${format} is not there yet.`);
}
