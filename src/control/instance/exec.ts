/** instance.exec and instance.attach: conversations with processes inside. Audited before they begin. */
import type { ExecPlan, ExecSession, IoSession } from '../../drivers/runtime/driver.ts';
import { BerthError } from '../../model/errors.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { ExecRequest } from '../../model/routes.ts';
import { targetOf } from '../records.ts';
import type { Caller } from '../services.ts';
import { accountsOf } from './accounts.ts';
import { idOf, imageOf, runtimeOf, type InstanceServices } from './context.ts';
import { assertVerb } from './locked.ts';
import { capabilitiesOf, environment, osProcessPlan, processPlan, resolveUser } from './process.ts';

const MAX_EXECS = 64;

/** Counts conversations by instance, so that no client can hold more than a bounded number. */
export class ExecLimit {
  readonly #counts = new Map<string, number>();

  enter(id: string): () => void {
    const count = this.#counts.get(id) ?? 0;
    if (count >= MAX_EXECS) throw new BerthError('exhausted', `${MAX_EXECS} commands run inside already.`, { hint: 'Wait for some to end.' });
    this.#counts.set(id, count + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const now = (this.#counts.get(id) ?? 1) - 1;
      if (now === 0) this.#counts.delete(id);
      else this.#counts.set(id, now);
    };
  }
}

export async function execInstance(services: InstanceServices, limit: ExecLimit, caller: Caller, instance: Instance, request: ExecRequest): Promise<ExecSession> {
  assertVerb(instance, 'exec');
  const plan = await execPlan(services, instance, request);
  const leave = limit.enter(instance.meta.id);
  try {
    const session = await services.journal.records.audited(caller, 'instance.exec', targetOf(instance), { command: request.command.slice(0, 16).map((word) => word.slice(0, 256)), user: request.user }, () => runtimeOf(services, instance).exec(idOf(instance), plan));
    session.exit.then(leave, leave);
    return session;
  } catch (error) {
    leave();
    throw error;
  }
}

async function execPlan(services: InstanceServices, instance: Instance, request: ExecRequest): Promise<ExecPlan> {
  const image = imageOf(services, instance);
  const hostname = instance.spec.hostname ?? instance.meta.name;
  const user = request.user === undefined ? undefined : await lookUpUser(services, instance, request.user);
  const os = instance.status.mode === 'os';
  const base = os ? osProcessPlan(instance.spec, image, instance.status.form, user ?? resolveUser('0', image.status.passwd, image.status.group)) : processPlan(instance.spec, image, hostname, user);
  return {
    ...base,
    args: request.command,
    cwd: request.workdir ?? base.cwd,
    env: environment(base.env, request.env ?? {}, request.terminal === true ? { TERM: 'xterm' } : {}),
    user: base.user,
    terminal: request.terminal ?? false,
    ...(request.size === undefined ? {} : { size: request.size }),
    stdin: request.stdin ?? false,
    noNewPrivileges: !os,
    capabilities: capabilitiesOf(instance.spec, instance.status.form),
  };
}

async function lookUpUser(services: InstanceServices, instance: Instance, text: string) {
  const { passwd, group } = /^[0-9]+(:[0-9]+)?$/.test(text) ? imageOf(services, instance).status : await accountsOf(services, instance);
  return resolveUser(text, passwd, group);
}

export async function attachInstance(services: InstanceServices, caller: Caller, instance: Instance): Promise<IoSession> {
  assertVerb(instance, 'attach');
  return services.journal.records.audited(caller, 'instance.attach', targetOf(instance), undefined, () => runtimeOf(services, instance).attach(idOf(instance)));
}
