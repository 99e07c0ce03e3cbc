/** Known weaknesses of the tools that distributions ship, each with what in Berth stands in front of it. */

export interface Weakness {
  readonly tool: string;
  readonly id: string;
  /** First version that has it; absent: all before `fixedIn`. */
  readonly since?: string;
  readonly fixedIn: string;
  readonly what: string;
  /** What covers it in Berth whatever version is installed, and the case of the test catalogue that goes red without it. */
  readonly guard?: { readonly does: string; readonly test: string };
}

export const WEAKNESSES: readonly Weakness[] = [
  { tool: 'crun', id: 'CVE-2026-47766', fixedIn: '1.28', what: 'device nodes are made outside the root through a /dev that is a symbolic link', guard: { does: 'a root whose /dev is no directory is refused before crun starts, and /dev is always a fresh tmpfs', test: 'A08' } },
  { tool: 'crun', id: 'CVE-2026-88264', fixedIn: '1.30', what: 'a file of root is made on the host through a /dev/console that is a symbolic link', guard: { does: 'a root whose /dev holds such a link is refused, and /dev is always a fresh tmpfs', test: 'A07' } },
  { tool: 'crun', id: 'CVE-2026-88265', fixedIn: '1.30', what: 'a writable descriptor of a host file is handed out through a /dev/null that is a symbolic link', guard: { does: 'a root whose /dev/null is not the null device is refused, and /dev is always a fresh tmpfs', test: 'A09' } },
  { tool: 'crun', id: 'CVE-2026-115520', fixedIn: '1.31', what: 'restoring a checkpoint mounts any path of the host', guard: { does: 'no verb restores a checkpoint through crun', test: 'A16' } },
  { tool: 'crun', id: 'CVE-2026-115521', fixedIn: '1.31', what: 'making the root read-only can be led to another mount', guard: { does: 'the root is a mount of its own in a private mount namespace, below directories that no tenant can write', test: 'A05' } },
  { tool: 'crun', id: 'CVE-2026-30892', since: '1.19', fixedIn: '1.27', what: '`exec -u 1` runs as root', guard: { does: 'exec always passes the whole process description with numeric ids', test: 'A12' } },
  { tool: 'crun', id: 'working directory left unchecked', fixedIn: '1.14.1', what: 'the first process may start in a directory outside the root, with descriptors of the runtime open', guard: { does: 'the working directory is checked, and no descriptor but 0 to 2 reaches the runtime', test: 'A02' } },
  { tool: 'crun', id: 'procfs opened by name', fixedIn: '1.25.1', what: 'writes below /proc can be redirected by a mount of the image', guard: { does: 'a root whose /proc or /sys is no plain directory is refused, and both are fresh mounts', test: 'A05' } },
];

/** Numbers of a version, as far as they go: "1.8.1-1+deb12u1" → [1, 8, 1]. */
export function versionNumbers(text: string): readonly number[] {
  return (/\d+(\.\d+)*/.exec(text)?.[0] ?? '').split('.').filter((part) => part !== '').map(Number);
}

export function isOlder(version: string, than: string): boolean {
  const a = versionNumbers(version);
  const b = versionNumbers(than);
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

export function weaknessesOf(tool: string, version: string, table: readonly Weakness[] = WEAKNESSES): readonly Weakness[] {
  return table.filter((one) => one.tool === tool && isOlder(version, one.fixedIn) && (one.since === undefined || !isOlder(version, one.since)));
}
