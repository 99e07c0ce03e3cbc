/** From files to the answer: what `berth advise FILE…` and POST /v1/advise do. Pure. */
import type { Figures } from '../model/figures.ts';
import { adviceDocument, type AdviceDocument } from './advice-document.ts';
import { adviseEstate } from './advise-estate.ts';
import type { EstateAdvice, HostCapabilities, Weights } from './decision.ts';
import { importEstate, type ImportedEstate } from './importers/import-estate.ts';
import type { EstateFile } from './importers/import-result.ts';
import { SHIPPED_FIGURES } from './shipped-figures.ts';

export interface AdviseFiles {
  readonly files: readonly EstateFile[];
  readonly weights?: Weights | undefined;
  readonly figures?: Figures | undefined;
  readonly host?: HostCapabilities | undefined;
  readonly explain?: boolean | undefined;
}

export interface AdvisedFiles {
  readonly estate: ImportedEstate;
  readonly advice: EstateAdvice;
  readonly figures: Figures;
  readonly document: AdviceDocument;
}

export function adviseFiles({ files, weights, figures = SHIPPED_FIGURES, host, explain }: AdviseFiles): AdvisedFiles {
  const estate = importEstate(files);
  // Shipped figures tell nothing about the user's own hosts.
  const known = figures.shipped ? undefined : figures.hardwareVirtualization;
  const capabilities: HostCapabilities = { hardwareVirtualization: host?.hardwareVirtualization ?? known };
  const advice = adviseEstate(estate.workloads, { host: capabilities, weights, figures });
  return { estate, advice, figures, document: adviceDocument(estate, advice, figures, { explain: explain === true }) };
}
