/** User and group ids that somebody on this host already counts on. */
import fs from 'node:fs';
import path from 'node:path';

/** `first` up to and including `last`. */
export interface IdSpan {
  readonly first: number;
  readonly last: number;
}

export interface ClaimSources {
  /** /etc */
  readonly etcDir: string;
  /** /proc */
  readonly procDir: string;
}

export const HOST_CLAIMS: ClaimSources = { etcDir: '/etc', procDir: '/proc' };
const ALL_IDS = 0xffffffff;

export function spansOverlap(a: IdSpan, b: IdSpan): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** Ranges of subuid(5) and subgid(5). */
async function delegated({ etcDir }: ClaimSources): Promise<readonly IdSpan[]> {
  const texts = await Promise.all(['subuid', 'subgid'].map((name) => fs.promises.readFile(path.join(etcDir, name), 'utf8').catch(() => '')));
  return texts.join('\n').split('\n').flatMap((line) => {
    const match = /^[^:]*:(\d+):(\d+)\s*$/.exec(line);
    return match === null || Number(match[2]) === 0 ? [] : [{ first: Number(match[1]), last: Number(match[1]) + Number(match[2]) - 1 }];
  });
}

/** Ranges that user namespaces of live processes are mapped to (user_namespaces(7)). */
export async function mappedIds({ procDir }: ClaimSources): Promise<readonly IdSpan[]> {
  const spans = new Map<string, IdSpan>();
  for (const name of await fs.promises.readdir(procDir)) {
    if (!/^\d+$/.test(name)) continue;
    for (const map of ['uid_map', 'gid_map']) {
      const text = await fs.promises.readFile(path.join(procDir, name, map), 'latin1').catch(() => '');
      for (const line of text.split('\n')) {
        const [, outside, count] = line.trim().split(/\s+/).map(Number);
        if (outside === undefined || count === undefined || count === 0 || count === ALL_IDS) continue;
        spans.set(`${outside} ${count}`, { first: outside, last: outside + count - 1 });
      }
    }
  }
  return [...spans.values()];
}

/** Users whose processes run now. */
async function runningUsers({ procDir }: ClaimSources): Promise<readonly IdSpan[]> {
  const users = new Set<number>();
  for (const name of await fs.promises.readdir(procDir)) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await fs.promises.stat(path.join(procDir, name)).catch(() => undefined);
    if (stat !== undefined) users.add(stat.uid);
  }
  return [...users].map((uid) => ({ first: uid, last: uid }));
}

export async function claimedIds(sources: ClaimSources): Promise<readonly IdSpan[]> {
  return (await Promise.all([delegated(sources), mappedIds(sources), runningUsers(sources)])).flat();
}
