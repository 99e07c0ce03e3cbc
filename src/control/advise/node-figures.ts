/** The figures of this node: those of its own calibration, else the shipped ones; and whether it can run VMs in hardware. */
import { SHIPPED_FIGURES } from '../../advise/shipped-figures.ts';
import { BerthError } from '../../model/errors.ts';
import type { Figures } from '../../model/figures.ts';
import type { Node } from '../../model/node.ts';
import { targetOf } from '../records.ts';
import { Transaction } from '../registry.ts';
import type { Caller, Services } from '../services.ts';

export function ownNode(services: Services): Node {
  return services.registry.get<Node>('Node', '', services.nodeName);
}

export function nodeFigures(services: Services): Figures {
  return ownNode(services).status.figures ?? SHIPPED_FIGURES;
}

/** As the node found it at its start; undefined where no VM can run at all is false, too. */
export function hardwareVirtualization(services: Services): boolean {
  return ownNode(services).status.forms.some((one) => one.available && one.boundary === 'hardware');
}

export async function setFigures(services: Services, caller: Caller, node: Node, figures: Figures): Promise<Node> {
  if (figures.shipped) throw new BerthError('invalid', 'These figures come with Berth; what a node keeps was measured on it.', { hint: 'berth advise calibrate measures them.', fields: [{ path: 'shipped', message: 'must be false' }] });
  const transaction = new Transaction();
  transaction.put({ ...node, status: { ...node.status, figures } }, node.meta.revision);
  const audit = services.journal.records.intent(transaction, caller, 'node.setFigures', targetOf(node));
  services.journal.records.outcome(transaction, audit, 'ok');
  await services.registry.commit(transaction);
  return services.registry.get<Node>('Node', '', node.meta.name);
}
