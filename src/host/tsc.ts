/** The rate of this host's time stamp counter, as near as the kernel tells: what a guest that cannot measure is told. */
import fs from 'node:fs';

const FALLBACK_KHZ = 2_000_000;

export function timeStampCounterKhz(cpuinfo = fs.readFileSync('/proc/cpuinfo', 'latin1')): number {
  const model = /^model name.*@ ([\d.]+)GHz$/m.exec(cpuinfo)?.[1];
  if (model !== undefined) return Math.round(Number(model) * 1e6);
  const mhz = /^cpu MHz\s*: ([\d.]+)$/m.exec(cpuinfo)?.[1];
  return mhz === undefined ? FALLBACK_KHZ : Math.round(Number(mhz) * 1000);
}
