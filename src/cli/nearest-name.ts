/** “Did you mean …?” for names that the daemon does not know: it is asked for those that it does. */
import { nearest } from '../lib/nearest.ts';
import { BerthError } from '../model/errors.ts';
import { shortReference } from '../model/reference.ts';
import type { Context } from './command.ts';
import { daemonClient } from './daemon-client.ts';
import { KIND_TABLE } from './generated/kind-table.ts';

/** Not here, and for images: not to be had from a registry either, for whatever reason. */
const MISSING: ReadonlySet<string> = new Set(['notFound', 'unavailable', 'unauthenticated', 'forbidden', 'timeout']);

/** The error with a better hint where a name is near; else as it was. Never fails itself. */
export async function withNearestName(error: BerthError, where: Pick<Context, 'host' | 'project'>): Promise<BerthError> {
  const kind = KIND_TABLE[String(error.details?.['kind'])];
  const name = error.details?.['name'];
  if (!MISSING.has(error.code) || kind === undefined || typeof name !== 'string') return error;
  try {
    const { items } = await daemonClient(where).call(`${kind.singular}.list` as 'image.list');
    const meant = nearest(name, items.flatMap((one) => (kind.kind === 'Image' ? one.spec.references.map(shortReference) : [one.meta.name])));
    // The very name: it was made since.
    if (meant === undefined || meant === name) return error;
    return new BerthError(error.code, error.message, { hint: `Did you mean '${meant}'?${error.hint === undefined ? '' : ` ${error.hint}`}`, fields: error.fields, details: error.details, cause: error });
  } catch {
    return error;
  }
}
