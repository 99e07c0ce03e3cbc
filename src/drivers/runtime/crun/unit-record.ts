/** What of a plan must be known after it was made: kept in this process and beside the unit, for the next daemon. */
import fs from 'node:fs';
import type { Form } from '../../../model/forms.ts';
import type { LogPlan, UnitPlan } from '../driver.ts';

export interface UnitRecord {
  readonly form: Form;
  readonly idBase: number;
  readonly idCount: number;
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly log: LogPlan;
}

export function recordOf(plan: UnitPlan, range: { readonly idBase: number; readonly idCount: number }): UnitRecord {
  return { form: plan.form, idBase: range.idBase, idCount: range.idCount, terminal: plan.process.terminal, stdin: plan.stdin, log: plan.log };
}

/** undefined when there is none, or it was cut by a crash of the host: then nothing of the unit can live. */
export function readRecord(file: string): UnitRecord | undefined {
  try {
    const value = JSON.parse(fs.readFileSync(file, 'utf8')) as UnitRecord;
    return Number.isInteger(value.idBase) && Number.isInteger(value.log.maxBytes) ? { ...value, form: value.form ?? 'appContainer' } : undefined;
  } catch {
    return undefined;
  }
}
