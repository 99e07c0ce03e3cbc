/** Ways in which a file can be damaged, and a way back. */
import fs from 'node:fs';
import path from 'node:path';

export const DAMAGES = {
  empty: (bytes: Buffer): Buffer => bytes.subarray(0, 0),
  half: (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length >> 1),
  'one byte short': (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length - 1),
  'a bit flipped': (bytes: Buffer): Buffer => {
    const flipped = Buffer.from(bytes);
    flipped[bytes.length >> 1]! ^= 0x10;
    return flipped;
  },
} as const satisfies Record<string, (bytes: Buffer) => Buffer>;

export type Damage = keyof typeof DAMAGES;

export function damage(file: string, how: Damage): void {
  fs.writeFileSync(file, DAMAGES[how](fs.readFileSync(file)));
}

/** Regular files with something in them, below a directory; no mount is entered. */
export function filesBelow(dir: string): string[] {
  const { dev } = fs.statSync(dir);
  return fs.readdirSync(dir, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => {
    const full = path.join(dir, entry.name);
    if (entry.isDirectory()) return fs.statSync(full).dev === dev ? filesBelow(full) : [];
    return entry.isFile() && fs.statSync(full).size > 0 ? [full] : [];
  });
}

/** The files of a directory as they are now; `restore` brings exactly them back. */
export function keepFiles(dir: string): { restore(): void } {
  const kept = new Map(fs.readdirSync(dir).map((name) => [name, fs.readFileSync(path.join(dir, name))]));
  return {
    restore() {
      for (const name of fs.readdirSync(dir)) if (!kept.has(name)) fs.rmSync(path.join(dir, name));
      for (const [name, bytes] of kept) fs.writeFileSync(path.join(dir, name), bytes);
    },
  };
}
