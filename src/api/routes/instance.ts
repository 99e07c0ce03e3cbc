/** Routes of instances. */
import { Readable } from 'node:stream';
import type * as z from 'zod';
import { BerthError } from '../../model/errors.ts';
import { INSTANCE_STATES, type Instance } from '../../model/instance-status.ts';
import type { createInstanceBody, patchBody } from '../../model/routes.ts';
import { copyIn, copyOut } from '../../control/instance/files.ts';
import { createInstance } from '../../control/instance/create.ts';
import { deleteInstance } from '../../control/instance/delete.ts';
import { killInstance, pauseInstance, renameInstance, resizeInstance, resumeInstance } from '../../control/instance/lifecycle.ts';
import { restartInstance } from '../../control/instance/restart.ts';
import { startInstance } from '../../control/instance/start.ts';
import { instanceStats } from '../../control/instance/stats.ts';
import { stopInstance } from '../../control/instance/stop.ts';
import { screenshot } from '../../control/instance/screenshot.ts';
import { topInstances } from '../../control/instance/top.ts';
import { updateInstance } from '../../control/instance/update.ts';
import { BOOTED, waitInstance } from '../../control/instance/wait.ts';
import { generationOf } from '../conditional.ts';
import type { Call, Handler } from '../context.ts';
import { keyOf } from '../idempotency-key.ts';
import { leftBy } from '../left-by.ts';
import { answerOperation, listObjects } from '../list.ts';
import { streamLogs } from '../logs.ts';

export function instanceOf(call: Call): Instance {
  return call.edge.control.services.registry.get<Instance>('Instance', call.project, call.name);
}

export const instanceRoutes: Readonly<Record<string, Handler>> = {
  'instance.list': (call) => listObjects(call, 'Instance'),
  'instance.get': async (call) => instanceOf(call),
  async 'instance.create'(call) {
    const body = call.body as z.infer<typeof createInstanceBody>;
    return answerOperation(call, await createInstance(call.edge.control.services, call.caller, {
      project: call.project, meta: body.meta ?? {}, spec: body.spec, ...keyOf(call),
    }));
  },
  async 'instance.update'(call) {
    const { meta, spec } = call.body as z.infer<typeof patchBody>;
    return updateInstance(call.edge.control.services, call.caller, instanceOf(call), { meta, spec, generation: generationOf(call) });
  },
  'instance.delete': async (call) => answerOperation(call, await deleteInstance(call.edge.control.services, call.caller, instanceOf(call), call.query['force'] === true)),
  'instance.start': async (call) => answerOperation(call, await startInstance(call.edge.control.services, call.caller, instanceOf(call))),
  'instance.stop': async (call) => answerOperation(call, await stopInstance(call.edge.control.services, call.caller, instanceOf(call), { graceMs: call.query['graceMs'] as number | undefined })),
  'instance.restart': async (call) => answerOperation(call, await restartInstance(call.edge.control.services, call.caller, instanceOf(call), { graceMs: call.query['graceMs'] as number | undefined })),
  'instance.kill': async (call) => killInstance(call.edge.control.services, call.caller, instanceOf(call), call.query['signal'] as string | undefined),
  'instance.pause': async (call) => pauseInstance(call.edge.control.services, call.caller, instanceOf(call)),
  'instance.resume': async (call) => resumeInstance(call.edge.control.services, call.caller, instanceOf(call)),
  'instance.rename': async (call) => renameInstance(call.edge.control.services, call.caller, instanceOf(call), (call.body as { name: string }).name),
  async 'instance.resize'(call) {
    await resizeInstance(call.edge.control.services, call.caller, instanceOf(call), call.body as { rows: number; columns: number });
    return {};
  },
  async 'instance.wait'(call) {
    const states = ((call.query['state'] as string | undefined) ?? 'stopped,failed').split(',');
    const unknown = states.find((state) => !(INSTANCE_STATES as readonly string[]).includes(state) && state !== 'removed' && state !== BOOTED);
    if (unknown !== undefined) throw new BerthError('invalid', `'${unknown}' is not a state.`, { hint: INSTANCE_STATES.join(', ') });
    const abort = new AbortController();
    call.reply.raw.on('close', () => abort.abort());
    return waitInstance(call.edge.control.services, instanceOf(call), states, (call.query['timeoutMs'] as number | undefined) ?? 86_400_000, abort.signal);
  },
  async 'instance.copyOut'(call) {
    const { path, follow } = call.query as { path: string; follow?: boolean };
    const bytes = await copyOut(call.edge.control.services, call.edge.control.execLimit, call.caller, instanceOf(call), { path, followLink: follow === true }, leftBy(call));
    return call.reply.header('content-type', 'application/x-tar').send(Readable.from(bytes, { objectMode: false }));
  },
  async 'instance.copyIn'(call) {
    if (!(call.body instanceof Readable)) throw new BerthError('invalid', 'The body must be a tar archive, as application/octet-stream.');
    const { path, extract, archive } = call.query as { path: string; extract?: boolean; archive?: boolean };
    await copyIn(call.edge.control.services, call.edge.control.execLimit, call.caller, instanceOf(call), { path, extract: extract === true, archive: archive === true }, call.body as AsyncIterable<Uint8Array>, leftBy(call));
    return {};
  },
  async 'instance.screenshot'(call) {
    const image = await screenshot(call.edge.control.services, instanceOf(call));
    return call.reply.header('content-type', 'image/png').send(Buffer.from(image));
  },
  async 'instance.top'(call) {
    const { services } = call.edge.control;
    const asked = call.query['name'] as string | readonly string[] | undefined;
    const names = asked === undefined ? [] : [asked].flat();
    const named = names.map((name) => services.registry.get<Instance>('Instance', call.project, name));
    return { items: await topInstances(services, names.length > 0 ? named : services.registry.list<Instance>('Instance', call.project === '-' ? undefined : call.project), names.length > 0) };
  },
  'instance.logs': (call) => streamLogs(call, instanceOf(call)),
  async 'instance.stats'(call) {
    const { services } = call.edge.control;
    const items = await instanceStats(services, services.registry.list<Instance>('Instance', call.project === '-' ? undefined : call.project));
    return { kind: 'InstanceStatsList', revision: services.registry.revision, items };
  },
};
