/** Everything on the host that carries this root's names and belongs to no known unit. */
import fs from 'node:fs';
import path from 'node:path';
import type { ObjectId } from '../../../model/ids.ts';
import type { CrunHost } from './crun-host.ts';

export async function unitLeftovers(host: CrunHost, known: ReadonlySet<ObjectId>): Promise<readonly string[]> {
  const { paths, groups } = host;
  const strange = (name: string): boolean => !known.has(name as ObjectId);
  const inDirectory = async (dir: string, what: string): Promise<readonly string[]> =>
    (await fs.promises.readdir(dir)).filter((name) => !name.startsWith('.') && strange(name)).map((name) => `${what} ${path.join(dir, name)}`);
  return [
    ...(await inDirectory(paths.units, 'runtime directory')),
    ...(await inDirectory(paths.state, 'state of crun')),
    ...(await inDirectory(paths.exits, 'exit record')),
    ...(await inDirectory(paths.logs, 'log')),
    ...groups.ids().filter(strange).map((id) => `control group ${id}`),
    ...(await monitors(paths.units, strange)),
  ];
}

/** Monitors whose directory is gone would be found by nothing else. */
async function monitors(units: string, strange: (name: string) => boolean): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of (await fs.promises.readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const args = (await fs.promises.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const dir = args[args.indexOf('-b') + 1];
    if (args.includes('--conmon-pidfile') || args.includes('-P')) {
      if (dir !== undefined && path.dirname(dir) === units && strange(path.basename(dir))) found.push(`monitor ${pid} of ${path.basename(dir)}`);
    }
  }
  return found;
}
