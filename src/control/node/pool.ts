/** The one pool of this version: where the root directory lies. */
import { objectId } from '../../model/ids.ts';
import { API_VERSION } from '../../model/meta.ts';
import type { Pool } from '../../model/pool.ts';
import type { Node } from '../../model/node.ts';
import type { Services } from '../services.ts';

export async function poolObject(services: Services): Promise<Pool> {
  const node = services.registry.get<Node>('Node', '', services.nodeName);
  const facts = await services.storage.facts();
  return {
    apiVersion: API_VERSION, kind: 'Pool',
    meta: { id: objectId(node.meta.id), name: 'default', project: '', createdAt: node.meta.createdAt, generation: 1, revision: node.meta.revision },
    spec: { kind: 'dir' }, status: { state: 'ready', ...facts },
  };
}
