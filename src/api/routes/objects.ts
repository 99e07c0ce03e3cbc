/** Routes of volumes, networks, projects, pools, nodes, operations, events and audit records. */
import type * as z from 'zod';
import type { Network } from '../../model/network.ts';
import { isFinished, type Operation } from '../../model/operation.ts';
import type { Project } from '../../model/project.ts';
import type { createNetworkBody, createProjectBody, createVolumeBody, patchBody } from '../../model/routes.ts';
import type { Volume } from '../../model/volume.ts';
import type { KindName } from '../../model/kinds.ts';
import { createNetwork, deleteNetwork } from '../../control/network/network.ts';
import { poolObject } from '../../control/node/pool.ts';
import { cancelOperation } from '../../control/operation/cancel.ts';
import { createProject, deleteProject, updateProject } from '../../control/project/project.ts';
import { createVolume, deleteVolume, updateVolume } from '../../control/volume/volume.ts';
import { BerthError } from '../../model/errors.ts';
import { generationOf } from '../conditional.ts';
import type { Call, Handler } from '../context.ts';
import { keyOf } from '../idempotency-key.ts';
import { answerOperation, countedProject, listObjects, listRecords, publicOperation } from '../list.ts';

const getter = (kind: KindName): Handler => async (call) => call.edge.control.services.registry.get(kind, call.project, call.name);
const services = (call: Call) => call.edge.control.services;

function operationOf(call: Call): Operation {
  const operation = services(call).journal.get(call.project, call.name);
  if (operation === undefined) throw services(call).registry.notFound('Operation', call.project, call.name);
  return operation;
}

export const objectRoutes: Readonly<Record<string, Handler>> = {
  'volume.list': (call) => listObjects(call, 'Volume'),
  'volume.get': getter('Volume'),
  async 'volume.create'(call) {
    const { meta, spec } = call.body as z.infer<typeof createVolumeBody>;
    return answerOperation(call, await createVolume(services(call), call.caller, { project: call.project, meta: meta ?? {}, spec, ...keyOf(call) }));
  },
  'volume.delete': async (call) => answerOperation(call, await deleteVolume(services(call), call.caller, services(call).registry.get<Volume>('Volume', call.project, call.name))),

  async 'volume.update'(call) {
    const { meta, spec } = call.body as z.infer<typeof patchBody>;
    return updateVolume(services(call), call.caller, services(call).registry.get<Volume>('Volume', call.project, call.name), { meta, spec, generation: generationOf(call) });
  },

  'network.list': (call) => listObjects(call, 'Network'),
  'network.get': getter('Network'),
  async 'network.create'(call) {
    const { meta, spec } = call.body as z.infer<typeof createNetworkBody>;
    return answerOperation(call, await createNetwork(services(call), call.caller, { project: call.project, meta: meta ?? {}, spec, ...keyOf(call) }));
  },
  'network.delete': async (call) => answerOperation(call, await deleteNetwork(services(call), call.caller, services(call).registry.get<Network>('Network', call.project, call.name))),

  'project.list': (call) => listObjects(call, 'Project'),
  'project.get': async (call) => countedProject(call, services(call).registry.get<Project>('Project', '', call.name)),
  async 'project.create'(call) {
    const { meta, spec } = call.body as z.infer<typeof createProjectBody>;
    return call.reply.code(201).send(await createProject(services(call), call.caller, meta ?? {}, spec));
  },
  async 'project.update'(call) {
    const { spec } = call.body as z.infer<typeof patchBody>;
    return updateProject(services(call), call.caller, services(call).registry.get<Project>('Project', '', call.name), { spec, generation: generationOf(call) });
  },
  async 'project.delete'(call) {
    await deleteProject(services(call), call.caller, services(call).registry.get<Project>('Project', '', call.name));
    return { name: call.name, state: 'deleted' };
  },

  'pool.list': async (call) => ({ kind: 'PoolList', revision: services(call).registry.revision, items: [await poolObject(services(call))] }),
  async 'pool.get'(call) {
    const pool = await poolObject(services(call));
    if (call.name !== pool.meta.name) throw new BerthError('notFound', `There is no pool '${call.name.slice(0, 64)}'.`, { hint: '`berth pool list` shows what there is.' });
    return pool;
  },
  'node.list': (call) => listObjects(call, 'Node'),
  'node.get': getter('Node'),

  'operation.list': (call) => listObjects(call, 'Operation'),
  'operation.get': async (call) => publicOperation(operationOf(call)),
  'operation.cancel': async (call) => publicOperation(await cancelOperation(services(call), call.caller, call.project, call.name)),
  async 'operation.wait'(call) {
    const first = operationOf(call);
    call.reply.hijack();
    const { raw } = call.reply;
    raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'x-request-id': call.caller.requestId });
    let stop: () => void = () => undefined;
    const tell = (operation: Operation) => {
      raw.write(`${JSON.stringify(publicOperation(operation))}\n`);
      if (!isFinished(operation)) return;
      stop();
      raw.end();
    };
    stop = services(call).journal.follow(call.project, call.name, tell);
    raw.on('close', () => stop());
    tell(services(call).journal.get(call.project, call.name) ?? first);
    return call.reply;
  },
  'event.list': (call) => listRecords(call, 'Event'),
  'audit.list': (call) => listRecords(call, 'AuditRecord'),
};
