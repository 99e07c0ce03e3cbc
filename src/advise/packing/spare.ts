/** Empty hosts that take over when others fail. */
import { movedTo, type Bin } from './bin.ts';
import type { Prepared } from './prepared.ts';

/**
 * So many spares of so few types that each host in use could move whole to one of them: what was apart stays apart, and
 * nothing must be packed anew in the hour of need. The cheapest types are taken that together can stand in for all.
 * @returns numbers of types, `failures` of each kind that is needed
 */
export function sparesFor(prepared: Prepared, bins: readonly Bin[], failures: number): readonly number[] {
  if (failures <= 0) return [];
  const spares: number[] = [];
  let open = bins;
  while (open.length > 0) {
    let best = -1;
    let most = 0;
    for (const [type, { cost }] of prepared.types.entries()) {
      const covered = open.filter((bin) => movedTo(prepared, bin, type) !== undefined).length;
      // One type for all is nearly always cheapest; the price breaks ties, types being sorted by it.
      if (covered > most || (covered === most && best !== -1 && cost < prepared.types[best]!.cost)) {
        best = type;
        most = covered;
      }
    }
    const type = best;
    open = open.filter((bin) => movedTo(prepared, bin, type) === undefined);
    for (let n = 0; n < Math.min(failures, bins.length); n++) spares.push(type);
  }
  return spares;
}
