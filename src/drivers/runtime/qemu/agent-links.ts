/** The connections to the agents of all units; each is opened when it is first needed and again when it was lost. */
import type { ObjectId } from '../../../model/ids.ts';
import type { AgentLink } from './agent-link.ts';

export class AgentLinks implements Disposable {
  readonly #links = new Map<ObjectId, Promise<AgentLink>>();

  get(id: ObjectId, connect: () => Promise<AgentLink>): Promise<AgentLink> {
    return this.#links.get(id) ?? this.adopt(id, connect());
  }

  adopt(id: ObjectId, link: Promise<AgentLink>): Promise<AgentLink> {
    this.#links.set(id, link);
    const drop = (): void => {
      if (this.#links.get(id) === link) this.#links.delete(id);
    };
    link.then((open) => open.over.then(drop), drop);
    return link;
  }

  hangUp(id: ObjectId): void {
    const link = this.#links.get(id);
    this.#links.delete(id);
    link?.then((open) => { open[Symbol.dispose](); }, () => undefined);
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#links.keys()]) this.hangUp(id);
  }
}
