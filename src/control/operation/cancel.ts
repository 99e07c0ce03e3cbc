/** operation.cancel: what was done so far is taken back. */
import type { Operation } from '../../model/operation.ts';
import type { Caller, Services } from '../services.ts';

/** Errors: `notFound`, `wrongState` (finished, or past the last step that can be taken back). */
export async function cancelOperation({ journal, registry }: Services, caller: Caller, project: string, name: string): Promise<Operation> {
  const operation = journal.get(project, name);
  if (operation === undefined) throw registry.notFound('Operation', project, name);
  return journal.records.audited(caller, 'operation.cancel', operation.spec.target, { operation: name }, async () => journal.cancel(project, name));
}
