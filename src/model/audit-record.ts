/** AuditRecord: who did what to which object, durable before the effect, completed after it. */
import type { ErrorCode } from './errors.ts';
import type { BerthObject } from './meta.ts';

export interface AuditSpec {
  readonly time: string;
  /** From the verified credential only: uid:0, uid:1000, system. */
  readonly actor: string;
  readonly verb: string;
  readonly target: { readonly kind: string; readonly project: string; readonly name: string; readonly id: string };
  readonly requestId: string;
  /** Facts about the request; values of secret fields are never here. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

export interface AuditStatus {
  /** `unknown`: the daemon ended between the intent and the outcome. */
  readonly result: 'pending' | 'ok' | 'failed' | 'unknown';
  readonly errorCode?: ErrorCode | undefined;
  readonly completedAt?: string | undefined;
}

export type AuditRecord = BerthObject<AuditSpec, AuditStatus, 'AuditRecord'>;
