/** Machines with our agent inside. What it says is hostile, bounded, and never waited for without end. */
import { randomBytes } from 'node:crypto';
import { deadlineIn } from '../../../lib/deadline.ts';
import { encodeFields, encodeFrame, FRAME, parseStats, type GuestStats } from '../../../model/agent-protocol.ts';
import { ALL_CAPABILITIES } from '../../../model/instance-defaults.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { ControlGroups } from '../../../host/cgroup.ts';
import type { ExecPlan, ExecSession, ResourcePlan, TerminalSize, UnitPlan } from '../driver.ts';
import { askBooted, askPowerOff, type BootState, type InsideOptions } from '../program-inside.ts';
import { AgentLink } from './agent-link.ts';
import { AgentLinks } from './agent-links.ts';
import { DESCRIPTOR } from './command-line.ts';
import { startExec } from './exec-session.ts';
import { setupFields, workloadFields } from './guest-fields.ts';
import type { Guest, Machine } from './guest.ts';
import { templateMac } from './machine.ts';
import type { MicroVmDeadlines, MicroVmRuntimeOptions } from './microvm-options.ts';
import { qmpCommands } from './qmp.ts';
import type { Template } from './template-store.ts';
import { updateUnit, type UpdatedUnit } from './update-unit.ts';

const SIGKILL = 9;
/** What a guest says about itself is worth no longer wait. */
const CLAIM_MS = 500;

export class AgentGuest implements Guest, Disposable {
  readonly #deadlines: MicroVmDeadlines;
  readonly #timings: MicroVmRuntimeOptions['timings'];
  readonly #links = new AgentLinks();

  constructor(deadlines: MicroVmDeadlines, timings?: MicroVmRuntimeOptions['timings']) {
    this.#deadlines = deadlines;
    this.#timings = timings;
  }

  async prepare(machine: Machine, plan: UnitPlan, { signal, template }: Parameters<Guest['prepare']>[2]): Promise<void> {
    const { bootTotalMs } = this.#deadlines, { unit, record } = machine;
    const link = await (template === undefined ? AgentLink.connect(unit.agentSocket, record.nonce, bootTotalMs, signal) : this.#resume(template, machine, signal));
    void this.#links.adopt(machine.id, Promise.resolve(link));
    this.#timings?.('machine answered');
    const facts = {
      clockNs: BigInt(Date.now()) * 1_000_000n, seed: randomBytes(64).toString('hex'),
      identity: template === undefined ? undefined : { nonce: record.nonce, macOf: templateMac },
    };
    const setup = link.request(FRAME.setup, setupFields(plan, facts), bootTotalMs);
    const workload = link.request(FRAME.create, workloadFields(plan), bootTotalMs);
    // Where both fail the first is the cause.
    await Promise.all([setup, workload.catch((error: unknown) => setup.then(() => { throw error; }))]);
  }

  async start(machine: Machine): Promise<void> {
    const link = await this.#link(machine);
    // An agent that runs the workload heard an earlier daemon, which died before it could note it.
    if (link.hello.state !== 'running') await link.request(FRAME.start, {}, this.#deadlines.prepareMs);
  }

  async signal(machine: Machine, number: number): Promise<void> {
    await (await this.#link(machine)).request(FRAME.signal, { target: 0, signal: number }, this.#deadlines.answerMs);
  }

  endWorkload(machine: Machine): Promise<void> {
    return this.signal(machine, SIGKILL);
  }

  powerOff(machine: Machine): Promise<void> {
    return askPowerOff(this.inside(machine, this.#deadlines.answerMs));
  }

  booted(machine: Machine, timeoutMs: number): Promise<BootState> {
    return askBooted(this.inside(machine, timeoutMs));
  }

  /** The guest's clock stood still meanwhile. */
  resumed(machine: Machine): void {
    this.#link(machine).then((link) => link.request(FRAME.clock, { 'clock-ns': String(BigInt(Date.now()) * 1_000_000n) }, this.#deadlines.answerMs)).catch(() => undefined);
  }

  async exec(machine: Machine, plan: ExecPlan): Promise<ExecSession> {
    return startExec(await this.#link(machine), plan);
  }

  async resize(machine: Machine, size: TerminalSize): Promise<void> {
    const link = await this.#link(machine);
    await link.send(encodeFrame(FRAME.resize, 0, encodeFields({ target: 0, rows: size.rows, columns: size.columns })));
  }

  update(machine: Machine, resources: ResourcePlan, groups: ControlGroups): Promise<UpdatedUnit> {
    return updateUnit(resources, { groups, machine, link: () => this.#link(machine), answerMs: this.#deadlines.answerMs });
  }

  async claims(machine: Machine): Promise<GuestStats | undefined> {
    // The way to an agent that is silent is as long as its answer: both have one deadline.
    const said = this.#link(machine).then((link) => link.requestRaw(FRAME.stats, {}, CLAIM_MS)).then(parseStats).catch(() => undefined);
    return deadlineIn(CLAIM_MS).race(said, () => new Error('late')).catch(() => undefined);
  }

  inside(machine: Machine, timeoutMs: number): InsideOptions {
    return { exec: (plan) => this.exec(machine, plan), capabilities: ALL_CAPABILITIES.map((name) => `CAP_${name}`), timeoutMs };
  }

  hangUp(id: ObjectId): void {
    this.#links.hangUp(id);
  }

  [Symbol.dispose](): void {
    this.#links[Symbol.dispose]();
  }

  #link({ id, unit, record }: Machine): Promise<AgentLink> {
    return this.#links.get(id, () => AgentLink.connect(unit.agentSocket, record.nonce, this.#deadlines.answerMs));
  }

  /** The memory is the template's already; the state of the devices follows, and the guest goes on from where it stood. */
  async #resume(template: Template, { unit }: Machine, signal: AbortSignal | undefined): Promise<AgentLink> {
    const { warmMs } = this.#deadlines, capabilities = [{ capability: 'x-ignore-shared', state: true }];
    const restored = qmpCommands(unit.qmpSocket, [
      { execute: 'migrate-set-capabilities', arguments: { capabilities } },
      { execute: 'migrate-incoming', arguments: { uri: `fd:${DESCRIPTOR.restore}` } },
    ], warmMs, signal);
    const link = AgentLink.connect(unit.agentSocket, template.nonce, warmMs, signal);
    try {
      await restored;
    } catch (error) {
      link.then((open) => { open[Symbol.dispose](); }, () => undefined);
      throw error;
    }
    return link;
  }
}
