/** Event: one plain sentence for every change of state. */
import type { BerthObject } from './meta.ts';

export interface EventSpec {
  /** instance.started, instance.oom, network.repaired … */
  readonly type: string;
  readonly target: { readonly kind: string; readonly project: string; readonly name: string; readonly id: string };
  readonly message: string;
  readonly time: string;
  readonly severity: 'info' | 'warning' | 'error';
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

export type Event = BerthObject<EventSpec, Record<string, never>, 'Event'>;
