/** instance.copyOut and instance.copyIn: files of a running instance. The audit has the path, never the content. */
import type { CopyInRequest, CopyOutRequest } from '../../drivers/runtime/driver.ts';
import type { Instance } from '../../model/instance-status.ts';
import { targetOf } from '../records.ts';
import type { Caller } from '../services.ts';
import { idOf, runtimeOf, type InstanceServices } from './context.ts';
import type { ExecLimit } from './exec.ts';
import { assertVerb } from './locked.ts';

/** Its outcome is written down with the first byte: what comes after is between the instance and who reads. */
export async function copyOut(services: InstanceServices, limit: ExecLimit, caller: Caller, instance: Instance, request: CopyOutRequest, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  assertVerb(instance, 'cp');
  const leave = limit.enter(instance.meta.id);
  try {
    const bytes = await services.journal.records.audited(caller, 'instance.copyOut', targetOf(instance), { path: request.path }, () => runtimeOf(services, instance).copyOut(idOf(instance), request, signal));
    return left(bytes, leave);
  } catch (error) {
    leave();
    throw error;
  }
}

export async function copyIn(services: InstanceServices, limit: ExecLimit, caller: Caller, instance: Instance, request: CopyInRequest, tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
  assertVerb(instance, 'cp');
  const leave = limit.enter(instance.meta.id);
  try {
    await services.journal.records.audited(caller, 'instance.copyIn', targetOf(instance), { path: request.path }, () => runtimeOf(services, instance).copyIn(idOf(instance), request, tar, signal));
  } finally {
    leave();
  }
}

/** Not a generator: one that nobody began to read would keep its place for ever. */
function left(bytes: AsyncIterable<Uint8Array>, leave: () => void): AsyncIterable<Uint8Array> {
  const source = bytes[Symbol.asyncIterator]();
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        try {
          const next = await source.next();
          if (next.done === true) leave();
          return next;
        } catch (error) {
          leave();
          throw error;
        }
      },
      async return() {
        leave();
        await source.return?.();
        return { done: true, value: undefined };
      },
    }),
  };
}
