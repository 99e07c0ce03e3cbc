/** network.create and network.delete. */
import { assertName, makeObjectId, objectId } from '../../model/ids.ts';
import { BerthError, errorBody } from '../../model/errors.ts';
import type { NetworkPlan } from '../../drivers/network/driver.ts';
import type { Instance } from '../../model/instance-status.ts';
import { API_VERSION, type MetaInput } from '../../model/meta.ts';
import { DEFAULT_NETWORK, type Network, type NetworkSpec } from '../../model/network.ts';
import type { Project } from '../../model/project.ts';
import { timestamp } from '../clock.ts';
import type { InstanceServices } from '../instance/context.ts';
import type { Started, StepContext, StepList } from '../journal.ts';
import { targetOf } from '../records.ts';
import type { Caller, Services } from '../services.ts';

interface NetworkContext extends StepContext {
  readonly services: Services;
  network: Network;
}

export function networkPlan(network: Network): NetworkPlan {
  const { spec, status, meta } = network;
  return { id: objectId(meta.id), name: meta.name, project: meta.project, ipv4: status.ipv4, ipv6: status.ipv6, isolated: spec.isolated, internal: spec.internal, mtu: 1500 };
}

export const CREATE_NETWORK: StepList<NetworkContext> = {
  verb: 'network.create',
  onCrash: 'undo',
  steps: [{
    name: 'bridge',
    run: ({ services, network }) => services.network.ensureNetwork(networkPlan(network)),
    async undo({ services, network }) {
      await services.network.removeNetwork(objectId(network.meta.id));
      await services.network.releaseSubnet(network.status.ipv4.gateway);
    },
  }],
};

export const DELETE_NETWORK: StepList<NetworkContext> = {
  verb: 'network.delete',
  onCrash: 'finish',
  steps: [
    { name: 'bridge', irreversible: true, run: ({ services, network }) => services.network.removeNetwork(objectId(network.meta.id)) },
    { name: 'subnet', run: ({ services, network }) => services.network.releaseSubnet(network.status.ipv4.gateway) },
  ],
};

export interface CreateNetworkRequest {
  readonly project: string;
  readonly meta: MetaInput;
  readonly spec: NetworkSpec;
  readonly idempotencyKey?: string | undefined;
}

export function createNetwork(services: InstanceServices, caller: Caller, request: CreateNetworkRequest): Promise<Started> {
  return services.journal.once({ project: request.project, key: request.idempotencyKey, verb: 'network.create', caller }, () => beginCreate(services, caller, request));
}

async function beginCreate(services: InstanceServices, caller: Caller, request: CreateNetworkRequest): Promise<Started> {
  const { registry, journal } = services;
  registry.get<Project>('Project', '', request.project);
  const name = assertName(request.meta.name ?? '');
  if (registry.find('Network', request.project, name) !== undefined) throw new BerthError('alreadyExists', `There is already a network '${name}'.`, { hint: 'Choose another name.' });
  const subnet = await services.network.leaseSubnet(request.spec.ipv4 === undefined ? undefined : { ipv4: request.spec.ipv4 });
  const network: Network = {
    apiVersion: API_VERSION, kind: 'Network',
    meta: { id: makeObjectId(services.randomness.bytes(12)), name, project: request.project, labels: request.meta.labels, owner: request.meta.owner, purpose: request.meta.purpose, createdAt: timestamp(services.clock), generation: 1, revision: 0 },
    spec: request.spec, status: { state: 'creating', ...subnet },
  };
  const context: NetworkContext = { services, network };
  try {
    return await journal.begin({
      list: CREATE_NETWORK, target: targetOf(network), caller, context, idempotencyKey: request.idempotencyKey,
      intent: (transaction, operation) => { transaction.put({ ...network, status: { ...network.status, operation } }, 'absent'); },
      outcome(transaction) {
        transaction.put({ ...network, status: { ...network.status, state: 'ready' } });
        journal.records.event(transaction, 'network.created', targetOf(network), `Network '${name}' was made (${network.status.ipv4.gateway}/${network.status.ipv4.prefixLength}).`);
      },
      failure: (transaction) => { transaction.delete(network); },
      result: () => ({ name, id: network.meta.id }),
    });
  } catch (error) {
    await services.network.releaseSubnet(subnet.ipv4.gateway);
    throw error;
  }
}

export async function deleteNetwork(services: InstanceServices, caller: Caller, network: Network, withProject = false): Promise<Started> {
  const { journal } = services;
  if (network.meta.name === DEFAULT_NETWORK && !withProject) throw new BerthError('unsupported', 'The default network stays as long as its project.');
  const release = await services.locks.acquire(network.meta.id, 'network.delete', 30_000);
  try {
    assertUnused(services, network);
    await services.pool.drain(network.meta.id);
    // Whoever took an address meanwhile comes first; whoever comes later finds the network changed.
    assertUnused(services, network);
    if (services.addresses.reserved(network.meta.id) > 0) throw new BerthError('busy', `An instance is being made on network '${network.meta.name}'.`, { hint: 'Try again in a moment.' });
    const before: Network = { ...network, status: { ...network.status, state: 'deleting' } };
    const { operation, done } = await journal.begin({
      list: DELETE_NETWORK, target: targetOf(network), caller, context: { services, network: before } as NetworkContext,
      intent: (transaction, name) => { transaction.put({ ...before, status: { ...before.status, operation: name } }, network.meta.revision); },
      outcome(transaction) {
        transaction.delete(network);
        journal.records.event(transaction, 'network.deleted', targetOf(network), `Network '${network.meta.name}' was deleted.`);
      },
      failure(transaction, error) {
        services.log.error({ network: network.meta.name, error: errorBody(error) }, 'a network could not be deleted');
        transaction.put({ ...network, status: { ...network.status, state: 'failed', error: errorBody(error) } });
      },
    });
    return { operation, done: done.finally(release) };
  } catch (error) {
    release();
    throw error;
  }
}

function assertUnused({ registry }: Services, network: Network): void {
  const users = registry.list<Instance>('Instance').filter((instance) => instance.status.ports.some((port) => port.networkId === network.meta.id));
  if (users.length > 0) throw new BerthError('wrongState', `Network '${network.meta.name}' is used by ${users.slice(0, 5).map((user) => `'${user.meta.name}'`).join(', ')}${users.length > 5 ? ' and others' : ''}.`, { hint: 'Delete those instances first.' });
}
