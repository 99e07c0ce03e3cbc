/** From files to the answer: what `berth advise FILE…` and POST /v1/advise do. Pure. */
import type { Figures } from '../model/figures.ts';
import type { PriceFile } from '../model/prices.ts';
import { adviceDocument, type AdviceDocument } from './advice-document.ts';
import { adviseEstate } from './advise-estate.ts';
import { completeFigures } from './complete-figures.ts';
import { costEstate } from './cost/cost-estate.ts';
import type { CostReport } from './cost/cost-report.ts';
import type { EstateAdvice, HostCapabilities, Weights } from './decision.ts';
import { importEstate, type ImportedEstate } from './importers/import-estate.ts';
import type { EstateFile, ImportProblem } from './importers/import-result.ts';
import { SHIPPED_FIGURES } from './shipped-figures.ts';

export interface AdviseFiles {
  readonly files: readonly EstateFile[];
  /** Of files that could not even be handed in. */
  readonly unread?: readonly ImportProblem[] | undefined;
  readonly weights?: Weights | undefined;
  readonly figures?: Figures | undefined;
  /** Costs are left out without. */
  readonly prices?: PriceFile | undefined;
  readonly host?: HostCapabilities | undefined;
  readonly explain?: boolean | undefined;
}

export interface AdvisedFiles {
  readonly estate: ImportedEstate;
  readonly advice: EstateAdvice;
  readonly figures: Figures;
  readonly cost: CostReport | undefined;
  readonly document: AdviceDocument;
}

/** @throws BerthError `exhausted` for an estate that is too large to be packed. */
export function adviseFiles({ files, unread = [], weights, figures = SHIPPED_FIGURES, prices, host, explain }: AdviseFiles): AdvisedFiles {
  const imported = importEstate(files);
  const estate = { ...imported, problems: [...unread, ...imported.problems] };
  // Shipped figures tell nothing about the user's own hosts.
  const known = figures.shipped ? undefined : figures.hardwareVirtualization;
  const capabilities: HostCapabilities = { hardwareVirtualization: host?.hardwareVirtualization ?? known };
  const complete = completeFigures(figures);
  const advice = adviseEstate(estate.workloads, { host: capabilities, weights, figures: complete });
  const cost = prices === undefined ? undefined : costEstate(estate.workloads, advice, prices, complete);
  return { estate, advice, figures, cost, document: adviceDocument({ estate, advice, figures, cost, explain: explain === true }) };
}
