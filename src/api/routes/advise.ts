/** Routes of the decision engine. */
import { hardwareVirtualization, nodeFigures, setFigures } from '../../control/advise/node-figures.ts';
import { instanceEvidence } from '../../control/advise/evidence.ts';
import { reviewInstances } from '../../control/advise/review.ts';
import type { AdviseRequest } from '../../model/advise-request.ts';
import type { Figures } from '../../model/figures.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Node } from '../../model/node.ts';
import type { Handler } from '../context.ts';
import { instanceOf } from './instance.ts';

export const adviseRoutes: Readonly<Record<string, Handler>> = {
  async 'advise.estate'(call) {
    const { services } = call.edge.control;
    const request = call.body as AdviseRequest;
    const figures = request.figures ?? nodeFigures(services);
    // What the node found out about itself counts as long as nobody speaks of other hosts.
    const known = request.figures === undefined ? hardwareVirtualization(services) : undefined;
    const { contentType, text } = await services.adviser.advise({ ...request, figures, hardwareVirtualization: request.hardwareVirtualization ?? known });
    return call.reply.header('content-type', `${contentType}; charset=utf-8`).send(text);
  },
  async 'advise.review'(call) {
    const { services } = call.edge.control;
    const asked = call.query['name'] as string | readonly string[] | undefined;
    const names = asked === undefined ? undefined : [asked].flat();
    const project = call.project === '-' ? undefined : call.project;
    const instances = names === undefined
      ? services.registry.list<Instance>('Instance', project).filter((one) => one.status.state === 'running' || one.status.state === 'paused')
      : names.map((name) => services.registry.get<Instance>('Instance', call.project, name));
    const { host, shipped } = nodeFigures(services);
    return { figures: { host, shipped }, items: await reviewInstances(services, instances) };
  },
  'instance.evidence': async (call) => instanceEvidence(call.edge.control.services, instanceOf(call)),
  'node.setFigures': async (call) => setFigures(call.edge.control.services, call.caller, call.edge.control.services.registry.get<Node>('Node', '', call.name), call.body as Figures),
};
