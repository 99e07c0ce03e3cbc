/** An answer in the format that was asked for. */
import { stringify } from 'yaml';
import type { AdviceFormat } from '../model/advise-request.ts';
import type { AdvisedFiles } from './advise-files.ts';
import { manifestsText } from './manifests.ts';
import { reportCsv } from './report/report-csv.ts';
import { reportHtml } from './report/report-html.ts';
import { reportMarkdown } from './report/report-markdown.ts';

export interface AdviceText {
  readonly contentType: string;
  readonly text: string;
}

export function adviceText({ document, estate, advice }: AdvisedFiles, format: AdviceFormat): AdviceText {
  switch (format) {
    case 'json': return { contentType: 'application/json', text: `${JSON.stringify(document, undefined, 2)}\n` };
    case 'yaml': return { contentType: 'application/yaml', text: stringify(document, { lineWidth: 0, aliasDuplicateObjects: false }) };
    case 'markdown': return { contentType: 'text/markdown', text: reportMarkdown(document) };
    case 'html': return { contentType: 'text/html', text: reportHtml(document) };
    case 'csv': return { contentType: 'text/csv', text: reportCsv(document) };
    case 'manifests': return { contentType: 'application/yaml', text: manifestsText(estate.workloads, advice) };
  }
}
