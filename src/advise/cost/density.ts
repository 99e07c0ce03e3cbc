/** “Two to three times as many applications on a host” is a claim; here is what the measured figures say. */
import type { Figures } from '../../model/figures.ts';
import { FORMS } from '../../model/forms.ts';
import type { HostTypePrice } from '../../model/prices.ts';
import { ANSWER_WORD } from '../decision.ts';
import type { DensityReport } from './cost-report.ts';

const MIB = 1024 * 1024;
/** What the application itself takes, beside the overhead of its form. */
const CLASSES = [
  { name: 'small', applicationMemoryBytes: 64 * MIB },
  { name: 'medium', applicationMemoryBytes: 512 * MIB },
  { name: 'large', applicationMemoryBytes: 4096 * MIB },
] as const;

/** Never quoted from elsewhere: forms that nobody measured are left out. */
export function densityOf(figures: Figures, host: HostTypePrice): DensityReport {
  const measured = !figures.shipped;
  const basis = measured ? 'measured on this host' : 'shipped with Berth, measured on another host';
  const overhead = (form: (typeof FORMS)[number]): number | undefined => figures.forms[form]?.memoryOverheadBytes?.value;
  const vm = overhead('vm');
  return {
    basis, measured,
    classes: CLASSES.map(({ name, applicationMemoryBytes }) => ({
      name, applicationMemoryBytes,
      forms: FORMS.flatMap((form) => {
        const own = overhead(form);
        if (own === undefined || vm === undefined) return [];
        const timesVms = (applicationMemoryBytes + vm) / (applicationMemoryBytes + own);
        return [{
          form: ANSWER_WORD[form], perHost: Math.min(host.maxInstances, Math.floor(host.memory / (applicationMemoryBytes + own))),
          timesVms: Math.round(timesVms * 100) / 100, sentence: `${basis}: ${timesVms.toFixed(1)} ×`,
        }];
      }),
    })),
  };
}
