/** “Two to three times as many applications on a host” is a claim; here is what the measured figures say. */
import type { Figures } from '../../model/figures.ts';
import { FORMS } from '../../model/forms.ts';
import { ANSWER_WORD } from '../decision.ts';
import type { DensityReport } from './density-report.ts';

const MIB = 1024 * 1024;
/** What the application itself takes, beside the overhead of its form. */
const CLASSES = [
  { name: 'small', applicationMemoryBytes: 64 * MIB },
  { name: 'medium', applicationMemoryBytes: 512 * MIB },
  { name: 'large', applicationMemoryBytes: 4096 * MIB },
] as const;

/** Instances are counted against so much memory. */
const MEMORY_BYTES = 64 * 1024 * MIB;

/** Never quoted from elsewhere: forms that nobody measured are left out. */
export function densityOf(figures: Figures): DensityReport {
  const measured = !figures.shipped;
  const basis = measured ? 'measured on this host' : 'shipped with Berth, measured on another host';
  const overhead = (form: (typeof FORMS)[number]): number | undefined => figures.forms[form]?.memoryOverheadBytes?.value;
  // A host whose VMs nobody measured still says what its microVMs take.
  const comparedTo = overhead('vm') === undefined && overhead('microVM') !== undefined ? 'microVMs' : 'VMs';
  const vm = overhead(comparedTo === 'VMs' ? 'vm' : 'microVM');
  return {
    basis, measured, memoryBytes: MEMORY_BYTES, comparedTo,
    classes: CLASSES.map(({ name, applicationMemoryBytes }) => ({
      name, applicationMemoryBytes,
      forms: FORMS.flatMap((form) => {
        const own = overhead(form);
        if (own === undefined || vm === undefined) return [];
        const timesVms = (applicationMemoryBytes + vm) / (applicationMemoryBytes + own);
        return [{
          form: ANSWER_WORD[form], instances: Math.floor(MEMORY_BYTES / (applicationMemoryBytes + own)),
          timesVms: Math.round(timesVms * 100) / 100, sentence: `${basis}: ${timesVms.toFixed(1)} ×${comparedTo === 'VMs' ? '' : ' beside microVMs'}`,
        }];
      }),
    })),
  };
}
