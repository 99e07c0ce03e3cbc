/** instance.exec and instance.attach: conversations with processes inside. Audited before they begin. */
import type { ExecPlan, ExecSession, IoSession } from '../../drivers/runtime/driver.ts';
import { BerthError } from '../../model/errors.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { ExecRequest } from '../../model/routes.ts';
import { targetOf } from '../records.ts';
import type { Caller } from '../services.ts';
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

const MAX_PASSWD_BYTES = 1024 * 1024;

/** Users that were added inside count too, where the upper layer can be read from outside. */
async function lookUpUser(services: InstanceServices, instance: Instance, text: string) {
  const image = imageOf(services, instance);
  const upper = services.storage.rootPaths(idOf(instance), instance.status.form).upperDir;
  if (/^[0-9]+(:[0-9]+)?$/.test(text) || upper === undefined) return resolveUser(text, image.status.passwd, image.status.group);
  const layers = [...image.status.layers.map((layer) => services.content.layerPath(layer.diffId)), `${upper}/up`];
  const [passwd, group] = await Promise.all(['/etc/passwd', '/etc/group'].map((path) => services.unpacker.readFile(layers, path, MAX_PASSWD_BYTES)));
  const decode = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8'));
  return resolveUser(text, decode(passwd), decode(group));
}

export async function attachInstance(services: InstanceServices, caller: Caller, instance: Instance): Promise<IoSession> {
  assertVerb(instance, 'attach');
  return services.journal.records.audited(caller, 'instance.attach', targetOf(instance), undefined, () => runtimeOf(services, instance).attach(idOf(instance)));
}
