/** An object that names its project must name the one that the request is for: never made elsewhere, never ignored. */
import { BerthError } from '../model/errors.ts';

/** `object` is anything that was parsed already; `project` undefined: the request is for none. */
export function assertSameProject(object: unknown, project: string | undefined): void {
  const named = (object as { readonly meta?: { readonly project?: string } } | null | undefined)?.meta?.project;
  if (named === undefined || project === undefined || named === project) return;
  throw new BerthError('invalid', `The object names project '${named}' and the request '${project}'.`, { hint: 'Leave meta.project out, or name the same.', fields: [{ path: 'meta.project', message: 'is not the project of the request' }] });
}
