/**
 * What a decision costs, and how an estate's cost grows with its size. The floor is the bare answer of the same workloads,
 * which the search for what would change it asks for a few hundred times. Prints JSON; ends with 1 when a bound is missed.
 */
import { adviseEstate } from '../../src/advise/advise-estate.ts';
import { answerFor } from '../../src/advise/decide.ts';
import { seeded } from '../../src/lib/seeded.ts';
import { sampleWorkload } from '../lib/workload-samples.ts';

const SIZES = (process.env['SIZES'] ?? '250,500,1000,2000').split(',').map(Number);
/** Bare answers that a whole decision may cost: singles, pairs, ways out, and the derivation. */
const MOST_ANSWERS = 400;
/** Time for each workload in the largest estate over that in the smallest. */
const MOST_GROWTH = 1.5;

const random = seeded(1);
const estate = Array.from({ length: Math.max(...SIZES) }, (_, at) => sampleWorkload(random, `w${at}`, 0.3));
const timed = (work: () => unknown): number => {
  const start = performance.now();
  work();
  return performance.now() - start;
};
const answers = (): void => { for (const one of estate) answerFor(one); };

adviseEstate(estate.slice(0, 200));
answers();
const floorMs = Math.min(timed(answers), timed(answers), timed(answers)) / estate.length;
const sizes = SIZES.map((workloads) => {
  const ms = Math.min(timed(() => adviseEstate(estate.slice(0, workloads))), timed(() => adviseEstate(estate.slice(0, workloads))));
  return { workloads, ms: Math.round(ms), msEach: Number((ms / workloads).toFixed(3)) };
});
const growth = sizes.at(-1)!.msEach / sizes[0]!.msEach;
const ratio = sizes.at(-1)!.msEach / floorMs;
const ok = growth <= MOST_GROWTH && ratio <= MOST_ANSWERS;
console.log(JSON.stringify({ name: 'decide', floorMs: Number(floorMs.toFixed(4)), sizes, growth: Number(growth.toFixed(2)), mostGrowth: MOST_GROWTH, answersEach: Math.round(ratio), mostAnswersEach: MOST_ANSWERS, ok }));
process.exitCode = ok ? 0 : 1;
