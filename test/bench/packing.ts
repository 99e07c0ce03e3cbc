/**
 * Packing: hosts beside the lower bound, and how time grows with the estate. Prints a line of JSON for each figure.
 *   node test/bench/packing.ts [MOST [SET…]]     MOST instances at most; 20000 when missing
 */
import { pack } from '../../src/advise/packing/pack.ts';
import { HARD_SETS, HOST_TYPES, isNear, ONE_HOST, packingSet, SETS } from '../lib/packing-sets.ts';

const MOST = Number(process.argv[2] ?? 20_000);
const CHOSEN = process.argv.slice(3);
const chosen = (name: string): boolean => CHOSEN.length === 0 || CHOSEN.includes(name);
const COUNTS = [100, 300, 1000, 2500, 5000, 10_000, 20_000].filter((count) => count <= MOST);

/** Time of the processor: what else the machine does shows less in it. */
function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return Math.round((user + system) / 1000);
}

for (const name of [...Object.keys(SETS), ...Object.keys(HARD_SETS)].filter(chosen)) {
  const hard = Object.hasOwn(HARD_SETS, name);
  let before: { count: number; ms: number } | undefined;
  for (const count of COUNTS) {
    const items = packingSet(name, count);
    let packing = pack([], [ONE_HOST]);
    const ms = cpuMs(() => { packing = pack(items, [ONE_HOST]); });
    const growth = before === undefined || before.ms < 50 ? undefined : Number((Math.log(ms / before.ms) / Math.log(count / before.count)).toFixed(2));
    console.log(JSON.stringify({
      set: name, hard, instances: count, hosts: packing.hosts.length, bound: packing.bound.hosts, by: packing.bound.argument, ratio: Number((packing.hosts.length / packing.bound.hosts).toFixed(3)),
      near: isNear(packing.hosts.length, packing.bound.hosts), cpuMs: ms, ...(growth === undefined ? {} : { growthExponent: growth }),
    }));
    before = { count, ms };
  }
}
for (const name of Object.keys(SETS).filter(chosen)) {
  const count = Math.min(1000, MOST);
  const items = packingSet(name, count);
  let packing = pack([], HOST_TYPES);
  const ms = cpuMs(() => { packing = pack(items, HOST_TYPES); });
  console.log(JSON.stringify({ set: `${name}, ${HOST_TYPES.length} types of hosts`, instances: count, hosts: packing.hosts.length, cost: packing.cost, bound: packing.bound.cost, ratio: Number((packing.cost / packing.bound.cost).toFixed(3)), cpuMs: ms }));
}
