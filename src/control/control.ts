/** The control plane of one node, put together from its drivers. What it offers is the verbs; who calls them is the edge. */
import type { NetworkDriver } from '../drivers/network/driver.ts';
import type { Store } from '../drivers/store/driver.ts';
import type { Services } from './services.ts';
import type { StepHook } from './journal.ts';
import { describe, Journal } from './journal.ts';
import { adoptInstances } from './instance/adopt.ts';
import type { InstanceServices } from './instance/context.ts';
import { ExecLimit } from './instance/exec.ts';
import type { PauseRule } from './instance/restart-pause.ts';
import { Supervisor } from './instance/supervisor.ts';
import { Locks } from './locks.ts';
import { printable } from '../model/ids.ts';
import { Addresses } from './network/addresses.ts';
import { adoptNetworks, fillPool } from './network/adopt.ts';
import { SandboxPool } from './network/sandbox-pool.ts';
import { ensureNode, hostRebooted, type NodeDescription } from './node/node.ts';
import { ensureDefaultProject } from './project/project.ts';
import { adoptImages } from './image/image.ts';
import { IMAGE_STEP_LISTS } from './image/step-lists.ts';
import { ImageUses } from './image/image-uses.ts';
import { adoptVolumes } from './volume/volume.ts';
import { Registry, Transaction } from './registry.ts';

/** Events for quarantined objects at one start. */
const MOST_TOLD = 50;

export interface ControlParts extends Omit<Services, 'registry' | 'journal' | 'locks' | 'imageUses'> {
  readonly store: Store;
  readonly network: NetworkDriver;
  readonly describeNode: () => Promise<NodeDescription>;
  /** Only tests hand one in. */
  readonly stepHook?: StepHook | undefined;
  /** The same. */
  readonly restartPause?: PauseRule | undefined;
}

export class Control implements AsyncDisposable {
  readonly services: InstanceServices;
  readonly execLimit = new ExecLimit();
  readonly describeNode: () => Promise<NodeDescription>;

  private constructor(services: InstanceServices, parts: ControlParts) {
    this.services = services;
    this.describeNode = parts.describeNode;
  }

  /** Reads the store, settles what an earlier daemon left, adopts what runs, and is ready. */
  static async open(parts: ControlParts): Promise<Control> {
    const registry = await Registry.open(parts.store);
    const addresses = new Addresses(registry);
    const supervisor = new Supervisor(parts.restartPause);
    const services: InstanceServices = {
      ...parts, registry, supervisor, addresses, imageUses: new ImageUses(),
      journal: new Journal({ registry, clock: parts.clock, randomness: parts.randomness, log: parts.log, hook: parts.stepHook }),
      locks: new Locks(parts.clock),
      pool: new SandboxPool({ driver: parts.network, addresses, randomness: parts.randomness, clock: parts.clock, log: parts.log }),
    };
    supervisor.bind(services);
    const control = new Control(services, parts);
    await tellQuarantined(services);
    // Before the journal: what it finishes or takes back gets its true outcome after this.
    await services.journal.records.settlePending();
    const description = await parts.describeNode();
    await ensureDefaultProject(services);
    await adoptNetworks(services);
    await adoptVolumes(services);
    await adoptImages(services, IMAGE_STEP_LISTS);
    await adoptInstances(services, hostRebooted(services, description));
    // After them: the boot that the node is written down with is one whose instances have been seen to.
    await ensureNode(services, description);
    // What was published for an instance whose removal was finished just now has no owner any more.
    const repairs = await services.network.reconcile().catch((error: unknown) => [`not wholly: ${describe(error)}`]);
    for (const repaired of repairs) parts.log.warn({ repaired }, 'the network was repaired');
    fillPool(services);
    return control;
  }

  /** Stops watching; nothing that runs is touched. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.services.supervisor[Symbol.asyncDispose]();
    await this.services.pool[Symbol.asyncDispose]();
  }
}

/** Loud at every start until somebody looks after it: in the log, and as an event for each. */
async function tellQuarantined({ registry, journal, log }: Services): Promise<void> {
  if (registry.quarantined.length === 0) return;
  const transaction = new Transaction();
  for (const { key, reason } of registry.quarantined.slice(0, MOST_TOLD)) {
    log.error({ key, reason }, 'an object of the store cannot be read and is left alone');
    const [, kind = '', project = '', name = ''] = key.split('/');
    journal.records.event(transaction, 'object.quarantined', { kind, project, name, id: '' }, `${kind} '${printable(name)}' cannot be read in the store (${key}): ${printable(reason)}. It is left as it is; nothing takes its name.`, 'error');
  }
  await registry.commit(transaction);
}
