/** Names for instances whose maker gave none. */
import type { Randomness } from '../clock.ts';

const FIRST = ['amber', 'brave', 'calm', 'clear', 'deep', 'early', 'fair', 'fresh', 'gentle', 'golden', 'grand', 'keen', 'late', 'lively', 'lucid', 'mild', 'noble', 'pale', 'quick', 'quiet', 'rapid', 'sharp', 'steady', 'still', 'sunny', 'swift', 'tidy', 'vivid', 'warm', 'wide', 'wise', 'young'];
const SECOND = ['anchor', 'bay', 'beacon', 'bridge', 'buoy', 'canal', 'cape', 'channel', 'coast', 'cove', 'crane', 'delta', 'dock', 'ferry', 'gull', 'harbor', 'heron', 'inlet', 'isle', 'jetty', 'keel', 'lagoon', 'lock', 'mast', 'mole', 'pier', 'quay', 'reef', 'sail', 'shore', 'tide', 'wharf'];

export function makeName(randomness: Randomness, taken: (name: string) => boolean): string {
  for (let digits = 0; ; digits++) {
    const bytes = randomness.bytes(2 + digits);
    const tail = digits === 0 ? '' : `-${[...bytes.subarray(2)].map((byte) => (byte % 36).toString(36)).join('')}`;
    const name = `${FIRST[bytes[0]! % FIRST.length]!}-${SECOND[bytes[1]! % SECOND.length]!}${tail}`;
    if (!taken(name)) return name;
  }
}
