/** Users and groups, as the files of a root say. */
import { Buffer } from 'node:buffer';
import type { Services } from '../services.ts';

const MAX_BYTES = 1024 * 1024;

/** Undefined: there is no such file. */
export interface Accounts {
  /** passwd(5). */
  readonly passwd: string | undefined;
  /** group(5). */
  readonly group: string | undefined;
}

/** `layers`: directories, lowest first. A disk has none, and nobody looks into it. */
export async function readAccounts({ unpacker }: Pick<Services, 'unpacker'>, layers: readonly string[]): Promise<Accounts> {
  if (layers.length === 0) return { passwd: undefined, group: undefined };
  const [passwd, group] = await Promise.all(['/etc/passwd', '/etc/group'].map((path) => unpacker.readFile(layers, path, MAX_BYTES)));
  const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8'));
  return { passwd: text(passwd), group: text(group) };
}
