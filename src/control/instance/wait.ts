/** instance.wait: until it is in one of these states, or gone. */
import { BerthError } from '../../model/errors.ts';
import { bootsItself, type Instance, type InstanceState } from '../../model/instance-status.ts';
import type { InstanceServices } from './context.ts';

/** Not a state: the init has brought the system up, or failed to. OS forms. */
export const BOOTED = 'booted';

export interface WaitAnswer {
  readonly state: InstanceState | 'removed';
  readonly exitCode?: number | undefined;
  readonly reason?: string | undefined;
}

export function waitInstance(services: InstanceServices, instance: Instance, states: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<WaitAnswer> {
  const { id } = instance.meta;
  return new Promise((resolve, reject) => {
    let exit: { exitCode?: number | undefined; reason?: string | undefined } = {};
    // A `--rm` instance is gone before its stopped state is ever written: its watch tells the code.
    void services.supervisor.settled(id).then((record) => {
      if (record !== undefined) exit = { exitCode: record.exitCode, reason: record.reason };
      look();
    });
    const stopListening = services.registry.onChange((change) => { if (change.kind === 'Instance') look(); });
    const cancel = services.clock.after(timeoutMs, () => finish(() => reject(new BerthError('timeout', `'${instance.meta.name}' was not ${states.join(' or ')} within ${timeoutMs} ms.`))));
    signal.addEventListener('abort', aborted);
    look();

    function aborted() {
      finish(() => reject(new BerthError('unavailable', 'The caller went away.')));
    }
    function finish(how: () => void) {
      stopListening();
      cancel();
      signal.removeEventListener('abort', aborted);
      how();
    }
    function look() {
      const current = services.registry.byId<Instance>(id);
      if (current === undefined) return void services.supervisor.settled(id).then((record) => finish(() => resolve({ state: 'removed', ...exit, ...(record === undefined ? {} : { exitCode: record.exitCode, reason: record.reason }) })));
      const { state, exitCode, reason } = current.status;
      // Whether a system without an agent is up, nobody knows: that it runs is all there is to wait for.
      const up = current.status.health === 'healthy' || current.status.health === 'unhealthy' || (bootsItself(current) && state === 'running');
      if (states.includes(state) || (states.includes(BOOTED) && up)) finish(() => resolve({ state, exitCode, reason }));
    }
  });
}
