/**
 * The journal: how a long verb survives anything. One durable commit before the first effect (object, steps, claims,
 * audit intent) and one after the last. Steps are idempotent and each has an undo; what a step needs to know about the
 * world it reads from the world. The Operation object is the journal's entry: whatever is unfinished at start is
 * finished or undone by the same steps.
 */
import type { AuditRecord } from '../model/audit-record.ts';
import { asBerthError, BerthError, errorBody } from '../model/errors.ts';
import { makeObjectId } from '../model/ids.ts';
import { API_VERSION } from '../model/meta.ts';
import { isFinished, type Operation, type OperationStatus } from '../model/operation.ts';
import type { LayerProgress } from '../model/layer-progress.ts';
import type { VerbName } from '../model/verbs.ts';
import { timestamp, type Clock, type Randomness } from './clock.ts';
import { Records, type Target } from './records.ts';
import { Transaction, type Registry } from './registry.ts';
import type { Caller, Logger } from './services.ts';

export interface Step<C> {
  readonly name: string;
  run(context: C): Promise<void>;
  /** Takes back what `run` did, wholly or half done. */
  undo?(context: C): Promise<void>;
  /** After this one there is no way back: cancel is refused. */
  readonly irreversible?: boolean;
}

export interface StepList<C> {
  readonly verb: VerbName;
  readonly steps: readonly Step<C>[];
  /** What the next daemon does with an unfinished one. */
  readonly onCrash: 'undo' | 'finish';
}

export interface Job<C> {
  readonly list: StepList<C>;
  readonly target: Target;
  readonly caller: Caller;
  readonly context: C;
  readonly idempotencyKey?: string | undefined;
  /** The verb that was asked for, where the list is another's. */
  readonly auditVerb?: VerbName | undefined;
  readonly auditDetails?: Readonly<Record<string, unknown>> | undefined;
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
  /** Adds the object as it is while the verb is at work, and its claims. */
  intent(transaction: Transaction, operation: string): void;
  /** Adds the object as it is when all steps are done. */
  outcome(transaction: Transaction): void;
  /** Around the making and the commit of the outcome, for a job whose outcome is made of what others write too. */
  finishing?(commit: () => Promise<Operation>): Promise<Operation>;
  /** Adds the object as it is when the steps were taken back. */
  failure(transaction: Transaction, error: BerthError): void;
  result?(): Readonly<Record<string, unknown>>;
}

/** A long verb that began: its intent is durable. `done` never rejects; the operation says how it ended. */
export interface Started {
  readonly operation: Operation;
  readonly done: Promise<Operation>;
}

export interface Progress {
  readonly done: number;
  readonly total?: number | undefined;
  readonly unit: string;
  readonly what: string;
  readonly layers?: readonly LayerProgress[] | undefined;
}

/** Where a test may stand in the way: kill the process, or throw. */
export type StepHook = (verb: string, step: string, moment: 'before' | 'after' | 'undo') => void | Promise<void>;

const KEPT_OPERATIONS = 1000;
const IDEMPOTENCY_KEY = /^[0-9a-z][0-9a-z-]{11,63}$/;

interface Live {
  operation: Operation;
  readonly abort: AbortController;
  readonly done: Promise<Operation>;
  irreversible: boolean;
  readonly listeners: Set<(operation: Operation) => void>;
}

export class Journal {
  readonly records: Records;
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #randomness: Randomness;
  readonly #log: Logger;
  readonly #hook: StepHook | undefined;
  readonly #live = new Map<string, Live>();

  constructor(parts: { registry: Registry; clock: Clock; randomness: Randomness; log: Logger; hook?: StepHook | undefined }) {
    this.#registry = parts.registry;
    this.#clock = parts.clock;
    this.#randomness = parts.randomness;
    this.#log = parts.log;
    this.#hook = parts.hook;
    this.records = new Records(parts.registry, parts.clock);
  }

  /**
   * Commits the intent and starts the steps. Resolves when the intent is durable; `done` when all is over (it never
   * rejects: the operation says how it ended).
   */
  async begin<C extends StepContext>(job: Job<C>): Promise<Started> {
    const name = job.idempotencyKey ?? makeObjectId(this.#randomness.bytes(12));
    if (!IDEMPOTENCY_KEY.test(name)) throw new BerthError('invalid', 'The Idempotency-Key must be 12–64 characters 0–9, a–z and dashes.');
    const operation: Operation = {
      apiVersion: API_VERSION, kind: 'Operation',
      meta: { id: name, name, project: job.target.project, createdAt: timestamp(this.#clock), generation: 1, revision: 0 },
      spec: { verb: job.list.verb, target: job.target, steps: job.list.steps.map((step) => step.name), actor: job.caller.actor, ...(job.arguments === undefined ? {} : { arguments: job.arguments }) },
      status: { state: 'running', step: 0, startedAt: timestamp(this.#clock) },
    };
    const transaction = new Transaction();
    const audit = this.records.intent(transaction, job.caller, job.auditVerb ?? job.list.verb, job.target, job.auditDetails);
    job.intent(transaction, name);
    transaction.put(withAudit(operation, audit), 'absent');
    const begun = written(withAudit(operation, audit), await this.#registry.commit(transaction));
    return { operation: begun, done: this.#execute(job, begun, audit) };
  }

  /**
   * The operation of an earlier request with this key, for the same verb by the same actor; else what `begin` begins,
   * unless another request with the key is faster.
   */
  async once<S extends Started>(use: { readonly project: string; readonly key: string | undefined; readonly verb: VerbName; readonly caller: Caller }, begin: () => Promise<S>): Promise<S | Started> {
    const again = this.#repeated(use);
    if (again !== undefined) return again;
    try {
      return await begin();
    } catch (error) {
      const faster = this.#repeated(use);
      if (faster !== undefined) return faster;
      throw error;
    }
  }

  #repeated({ project, key, verb, caller }: Parameters<Journal['once']>[0]): Started | undefined {
    if (key === undefined) return undefined;
    const operation = this.get(project, key);
    if (operation === undefined) return undefined;
    if (operation.spec.verb !== verb || operation.spec.actor !== caller.actor) throw new BerthError('alreadyExists', 'This Idempotency-Key was used for something else.');
    return { operation, done: this.#live.get(liveKey(project, key))?.done ?? Promise.resolve(operation) };
  }

  #execute<C extends StepContext>(job: Job<C>, operation: Operation, audit: AuditRecord): Promise<Operation> {
    return this.#alive(job, operation, false, (live) => this.#steps(job, live, audit));
  }

  /** While the work lasts it can be followed, waited for and, unless it is `irreversible`, cancelled. */
  #alive<C extends StepContext>(job: Job<C>, operation: Operation, irreversible: boolean, work: (live: Live) => Promise<Operation>): Promise<Operation> {
    const abort = new AbortController();
    let settle!: (operation: Operation) => void;
    const done = new Promise<Operation>((resolve) => { settle = resolve; });
    const live: Live = { operation, abort, done, irreversible, listeners: new Set() };
    const key = liveKey(operation.meta.project, operation.meta.name);
    this.#live.set(key, live);
    job.context.signal = abort.signal;
    job.context.progress = (progress) => this.#update(live, { progress });
    void work(live).then((finished) => {
      this.#live.delete(key);
      this.#tell(live, finished);
      settle(finished);
    });
    return done;
  }

  async #steps<C extends StepContext>(job: Job<C>, live: Live, audit: AuditRecord): Promise<Operation> {
    const { list, context } = job;
    let index = 0;
    try {
      for (; index < list.steps.length; index++) {
        const step = list.steps[index]!;
        this.#update(live, { step: index });
        live.abort.signal.throwIfAborted();
        if (step.irreversible === true) live.irreversible = true;
        await this.#runStep(list.verb, step, context);
      }
      live.abort.signal.throwIfAborted();
      live.irreversible = true; // whoever cancels from here on is told that it is too late
      const commit = (): Promise<Operation> => this.#finish(job, live, audit);
      return await (job.finishing === undefined ? commit() : job.finishing(commit));
    } catch (cause) {
      const cancelled = live.abort.signal.aborted;
      const error = cancelled ? new BerthError('wrongState', `${list.verb} was cancelled.`) : asBerthError(cause, `finish ${list.verb}`);
      if (!cancelled && error.code === 'internal') this.#log.error({ verb: list.verb, target: job.target, error: describe(cause) }, 'a step failed');
      this.#update(live, { state: 'undoing' });
      const undone = await this.#undo(list, index, context);
      return this.#fail(job, live, audit, undone ?? error, cancelled && undone === undefined);
    }
  }

  async #runStep<C>(verb: string, step: Step<C>, context: C): Promise<void> {
    if (this.#hook !== undefined) await this.#hook(verb, step.name, 'before');
    await step.run(context);
    if (this.#hook !== undefined) await this.#hook(verb, step.name, 'after');
  }

  /** Takes back from the step that failed to the first. An undo that fails is told, the rest is undone all the same. */
  async #undo<C>(list: StepList<C>, from: number, context: C): Promise<BerthError | undefined> {
    let problem: BerthError | undefined;
    for (let index = Math.min(from, list.steps.length - 1); index >= 0; index--) {
      const step = list.steps[index]!;
      if (step.undo === undefined) continue;
      try {
        if (this.#hook !== undefined) await this.#hook(list.verb, step.name, 'undo');
        await step.undo(context);
      } catch (cause) {
        this.#log.error({ verb: list.verb, step: step.name, error: describe(cause) }, 'an undo failed');
        problem ??= new BerthError('internal', `Step '${step.name}' of ${list.verb} could not be taken back.`, { hint: '`berth debug leaks` shows what was left.', cause });
      }
    }
    return problem;
  }

  async #finish<C>(job: Job<C>, live: Live, audit: AuditRecord): Promise<Operation> {
    const transaction = new Transaction();
    job.outcome(transaction);
    this.records.outcome(transaction, audit, 'ok');
    const result = job.result?.();
    const finished = this.#closed(live.operation, { state: 'succeeded', ...(result === undefined ? {} : { result }) });
    this.#keep(transaction, finished);
    return written(finished, await this.#registry.commit(transaction));
  }

  async #fail<C>(job: Job<C>, live: Live, audit: AuditRecord, error: BerthError, cancelled: boolean): Promise<Operation> {
    const finished = this.#closed(live.operation, { state: cancelled ? 'cancelled' : 'failed', error: errorBody(error) });
    try {
      const transaction = new Transaction();
      job.failure(transaction, error);
      this.records.outcome(transaction, audit, 'failed', error.code);
      this.#keep(transaction, finished);
      return written(finished, await this.#registry.commit(transaction));
    } catch (cause) {
      this.#log.error({ verb: job.list.verb, error: describe(cause) }, 'the outcome could not be written; the next start finishes it');
    }
    return finished;
  }

  #closed(operation: Operation, status: Partial<OperationStatus>): Operation {
    // How far each layer was is of interest while it is under way.
    const { layers: _layers, ...progress } = operation.status.progress ?? {};
    return { ...operation, status: { ...operation.status, ...(operation.status.progress === undefined ? {} : { progress: progress as Progress }), ...status, finishedAt: timestamp(this.#clock) } };
  }

  #keep(transaction: Transaction, finished: Operation): void {
    transaction.put(finished);
    if (this.#registry.count('Operation') <= KEPT_OPERATIONS) return;
    for (const { object } of this.#registry.entries<Operation>('Operation')) {
      if (!isFinished(object) || object.meta.name === finished.meta.name) continue;
      transaction.delete(object);
      return;
    }
  }

  #update(live: Live, status: Partial<OperationStatus>): void {
    this.#tell(live, { ...live.operation, status: { ...live.operation.status, ...status } });
  }

  #tell(live: Live, operation: Operation): void {
    live.operation = operation;
    for (const listener of live.listeners) {
      try {
        listener(operation);
      } catch (error) {
        this.#log.error({ operation: operation.meta.name, error: describe(error) }, 'who followed an operation met a bug');
      }
    }
  }

  /** With the progress of this moment. */
  get(project: string, name: string): Operation | undefined {
    return this.#live.get(liveKey(project, name))?.operation ?? this.#registry.find<Operation>('Operation', project, name);
  }

  async wait(project: string, name: string, timeoutMs: number): Promise<Operation | undefined> {
    const live = this.#live.get(liveKey(project, name));
    if (live === undefined) return this.get(project, name);
    let cancel: (() => void) | undefined;
    const late = new Promise<undefined>((resolve) => { cancel = this.#clock.after(timeoutMs, () => resolve(undefined)); });
    const finished = await Promise.race([live.done, late]);
    cancel?.();
    return finished ?? live.operation;
  }

  /** Calls back with each change until it is finished; returns the way to stop. */
  follow(project: string, name: string, listener: (operation: Operation) => void): () => void {
    const live = this.#live.get(liveKey(project, name));
    live?.listeners.add(listener);
    return () => live?.listeners.delete(listener);
  }

  /** Undo runs; refused after the last irreversible step. */
  cancel(project: string, name: string): Operation {
    const live = this.#live.get(liveKey(project, name));
    const operation = this.get(project, name);
    if (operation === undefined) throw this.#registry.notFound('Operation', project, name);
    if (live === undefined || isFinished(operation)) throw new BerthError('wrongState', `Operation '${name}' is finished.`);
    if (live.irreversible) throw new BerthError('wrongState', `Operation '${name}' is past its last step that can be taken back.`, { hint: 'Wait for it to finish.' });
    live.abort.abort();
    return live.operation;
  }

  /** Unfinished operations of an earlier daemon. */
  unfinished(): Operation[] {
    return this.#registry.list<Operation>('Operation').filter((operation) => !isFinished(operation) && !this.#live.has(liveKey(operation.meta.project, operation.meta.name)));
  }

  /** Runs an unfinished operation's steps again, or takes them back, as its list says. */
  async recover<C extends StepContext>(operation: Operation, job: Job<C>): Promise<Operation> {
    const audit = auditOf(operation);
    return this.#alive(job, operation, true, async (live) => {
      if (job.list.onCrash === 'finish') return this.#steps(job, live, audit);
      const problem = await this.#undo(job.list, job.list.steps.length - 1, job.context);
      return this.#fail(job, live, audit, problem ?? new BerthError('unavailable', `${job.list.verb} was interrupted by the end of the daemon and was taken back.`, { hint: 'Try it again.' }), false);
    });
  }
}

/** A name is its operation's only within the project. */
function liveKey(project: string, name: string): string {
  return `${project}/${name}`;
}

/** Filled in by the journal before the first step. */
export interface StepContext {
  signal?: AbortSignal | undefined;
  progress?: ((progress: Progress) => void) | undefined;
}

function written(operation: Operation, revision: number): Operation {
  return { ...operation, meta: { ...operation.meta, revision } };
}

/** The audit record travels inside the journal entry, so that recovery can complete it. */
function withAudit(operation: Operation, audit: AuditRecord): Operation {
  return { ...operation, spec: { ...operation.spec, arguments: { ...operation.spec.arguments, audit } } };
}

function auditOf(operation: Operation): AuditRecord {
  return (operation.spec.arguments as { audit: AuditRecord }).audit;
}

/** The whole chain of causes, for the log. */
export function describe(error: unknown): string {
  const parts: string[] = [];
  for (let next: unknown = error; next !== undefined && parts.length < 8; next = (next as Error | undefined)?.cause) {
    parts.push(next instanceof Error ? (next.stack ?? next.message) : String(next));
  }
  return parts.join('\n caused by: ');
}
