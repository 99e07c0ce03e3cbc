/** Networks at the start of a daemon: the journal first, then every network is made as it should be. */
import { isFinished, type Operation } from '../../model/operation.ts';
import type { Network } from '../../model/network.ts';
import type { Project } from '../../model/project.ts';
import type { InstanceServices } from '../instance/context.ts';
import { describe } from '../journal.ts';
import { ensureDefaultNetwork } from '../project/project.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import { SYSTEM } from '../services.ts';
import { CREATE_NETWORK, DELETE_NETWORK, networkPlan } from './network.ts';
import { DEFAULT_PROJECT } from '../../model/ids.ts';
import { DEFAULT_NETWORK } from '../../model/network.ts';

export async function adoptNetworks(services: InstanceServices): Promise<void> {
  for (const operation of services.journal.unfinished()) if (operation.spec.target.kind === 'Network') await recover(services, operation);
  for (const network of services.registry.list<Network>('Network')) {
    await services.network.ensureNetwork(networkPlan(network)).catch((error: unknown) => services.log.error({ network: network.meta.name, error: describe(error) }, 'a network could not be restored'));
  }
  for (const project of services.registry.list<Project>('Project')) {
    await ensureDefaultNetwork(services, project.meta.name).catch((error: unknown) => services.log.error({ project: project.meta.name, error: describe(error) }, 'the default network could not be made'));
  }
}

/** After adoption: what runs has its ranges and addresses again. */
export function fillPool(services: InstanceServices): void {
  const network = services.registry.find<Network>('Network', DEFAULT_PROJECT, DEFAULT_NETWORK);
  if (network?.status.state === 'ready') services.pool.fill(network);
}

async function recover(services: InstanceServices, operation: Operation): Promise<void> {
  if (isFinished(operation)) return;
  const network = services.registry.byId<Network>(operation.spec.target.id);
  if (network === undefined) {
    const transaction = new Transaction();
    transaction.delete(operation);
    await services.registry.commit(transaction);
    return;
  }
  const list = operation.spec.verb === 'network.create' ? CREATE_NETWORK : DELETE_NETWORK;
  await services.journal.recover(operation, {
    list, target: targetOf(network), caller: SYSTEM, context: { services, network }, intent: () => undefined,
    outcome: (transaction) => { transaction.delete(network); },
    failure: (transaction) => { transaction.delete(network); },
  });
}
