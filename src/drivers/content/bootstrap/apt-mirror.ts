/** Where this host gets its Debian packages: the mirror of its own apt sources, so that a near or private one is used. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { readBounded } from '../../../host/files.ts';

export interface AptMirror {
  readonly archive: string;
  readonly security: string;
}

export const PUBLIC_MIRROR: AptMirror = { archive: 'http://deb.debian.org/debian', security: 'http://deb.debian.org/debian-security' };

const SUITE = /^(buster|bullseye|bookworm|trixie|forky|sid|stable|testing|oldstable)$/;
const SECURITY_SUITE = /^(buster|bullseye|bookworm|trixie|forky|stable|testing|oldstable)-security$/;
/** What may become an argument of apt: no spaces, quotes or brackets. */
const URI = /^(https?|file|copy):\/\/?[A-Za-z0-9._~:/?#@!$&()*+,;=%-]{1,500}$/;
const MAX_BYTES = 256 * 1024;

interface Source {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
}

export async function aptMirror(aptDir = '/etc/apt'): Promise<AptMirror> {
  const listDir = path.join(aptDir, 'sources.list.d');
  const names = (await fs.readdir(listDir).catch(() => [])).toSorted();
  const files = [path.join(aptDir, 'sources.list'), ...names.map((name) => path.join(listDir, name))];
  const sources: Source[] = [];
  for (const file of files) {
    const text = await readBounded(file, MAX_BYTES).then((bytes) => bytes.toString('utf8'), () => '');
    if (file.endsWith('.list')) sources.push(...oneLineSources(text));
    else if (file.endsWith('.sources')) sources.push(...deb822Sources(text));
  }
  const usable = sources.filter((source) => source.components.includes('main') && URI.test(source.uri));
  const find = (suite: RegExp) => usable.find((source) => suite.test(source.suite))?.uri.replace(/\/+$/, '');
  return { archive: find(SUITE) ?? PUBLIC_MIRROR.archive, security: find(SECURITY_SUITE) ?? PUBLIC_MIRROR.security };
}

/** sources.list(5), one-line style: deb [options] uri suite components. */
export function oneLineSources(text: string): readonly Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    return match === null ? [] : [{ uri: match[1]!, suite: match[2]!, components: match[3]!.trim().split(/\s+/) }];
  });
}

/** sources.list(5), deb822 style. */
export function deb822Sources(text: string): readonly Source[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string[]>();
    let field: string[] | undefined;
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#') || line.trim() === '') continue;
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (match !== null) fields.set(match[1]!.toLowerCase(), (field = match[2]!.split(/\s+/).filter((word) => word !== '')));
      else field?.push(...line.trim().split(/\s+/));
    }
    const words = (name: string) => fields.get(name) ?? [];
    if (!words('types').includes('deb') || words('enabled')[0]?.toLowerCase() === 'no') return [];
    return words('uris').flatMap((uri) => words('suites').map((suite) => ({ uri, suite, components: words('components') })));
  });
}
