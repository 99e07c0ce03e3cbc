/** The node's own object: what was found on this host when the daemon started. */
import { makeObjectId } from '../../model/ids.ts';
import { API_VERSION } from '../../model/meta.ts';
import type { Node, NodeStatus } from '../../model/node.ts';
import { timestamp } from '../clock.ts';
import { Transaction } from '../registry.ts';
import type { Services } from '../services.ts';

export type NodeDescription = Omit<NodeStatus, 'state' | 'startedAt' | 'figures'>;

/** Did the host go down since instances were last seen to? Everything that ran then is gone, whatever it was. */
export function hostRebooted({ registry, nodeName }: Services, description: NodeDescription): boolean {
  const before = registry.find<Node>('Node', '', nodeName);
  return before !== undefined && before.status.bootId !== description.bootId;
}

export async function ensureNode(services: Services, description: NodeDescription): Promise<void> {
  const { registry, clock, nodeName } = services;
  const existing = registry.find<Node>('Node', '', nodeName);
  const meta = existing?.meta ?? { id: makeObjectId(services.randomness.bytes(12)), name: nodeName, project: '', createdAt: timestamp(clock), generation: 1, revision: 0 };
  const { figures } = existing?.status ?? {};
  const transaction = new Transaction();
  transaction.put({ apiVersion: API_VERSION, kind: 'Node', meta, spec: {}, status: { ...description, state: 'ready', startedAt: timestamp(clock), ...(figures === undefined ? {} : { figures }) } });
  await registry.commit(transaction);
}
