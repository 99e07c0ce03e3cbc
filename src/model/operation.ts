/** Operation: a long verb at work. It is the journal too: what is here and unfinished is finished or undone at start. */
import type { ErrorBody } from './errors.ts';
import type { LayerProgress } from './layer-progress.ts';
import type { BerthObject } from './meta.ts';

export const OPERATION_STATES = ['running', 'undoing', 'succeeded', 'failed', 'cancelled'] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

export interface OperationSpec {
  /** Name of the verb: instance.start. */
  readonly verb: string;
  readonly target: { readonly kind: string; readonly project: string; readonly name: string; readonly id: string };
  /** Names of the steps in their order. */
  readonly steps: readonly string[];
  /** What the steps need beyond the object, to be run again or undone by the next daemon. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
  readonly actor: string;
}

export interface OperationStatus {
  readonly state: OperationState;
  /** Index of the step at work. */
  readonly step: number;
  readonly progress?: { readonly done: number; readonly total?: number | undefined; readonly unit: string; readonly what: string; readonly layers?: readonly LayerProgress[] | undefined } | undefined;
  readonly startedAt: string;
  readonly finishedAt?: string | undefined;
  readonly error?: ErrorBody | undefined;
  readonly result?: Readonly<Record<string, unknown>> | undefined;
}

export type Operation = BerthObject<OperationSpec, OperationStatus, 'Operation'>;

export function isFinished(operation: Operation): boolean {
  return operation.status.state !== 'running' && operation.status.state !== 'undoing';
}
