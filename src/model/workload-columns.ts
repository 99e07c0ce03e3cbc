/** The facts of a workload as columns of a table: what a cell of each holds. From the model, so that a new fact is a column by itself. */
import * as z from 'zod';
import { fieldRows, unwrap } from './define.ts';
import { workloadSpec } from './workload.ts';

export interface WorkloadColumn {
  /** Below `spec`: `os.family`, `resources.limits.cpus`. */
  readonly path: string;
  readonly holds: 'yes or no' | 'number' | 'list' | 'numbers' | 'text';
  /** What is wrong with a value; undefined when nothing is. */
  problem(value: unknown): string | undefined;
}

export const WORKLOAD_COLUMNS: ReadonlyMap<string, WorkloadColumn> = new Map(fieldRows(workloadSpec).flatMap(({ path, schema }) => {
  const inner = unwrap(schema);
  // Amounts are written one by one: resources.limits.cpus.
  if (inner instanceof z.ZodObject) return Object.entries(inner.shape).map(([name, child]) => columnOf(`${path}.${name}`, unwrap(child as z.ZodType)));
  return [columnOf(path, inner)];
}).map((column) => [column.path, column] as const));

function columnOf(path: string, schema: z.ZodType): WorkloadColumn {
  return {
    path,
    holds: holdsOf(schema),
    problem(value) {
      const result = schema.safeParse(value);
      return result.success ? undefined : result.error.issues[0]!.message;
    },
  };
}

function holdsOf(schema: z.ZodType): WorkloadColumn['holds'] {
  if (schema instanceof z.ZodBoolean) return 'yes or no';
  if (schema instanceof z.ZodNumber) return 'number';
  if (!(schema instanceof z.ZodArray)) return 'text';
  return schema.element instanceof z.ZodNumber ? 'numbers' : 'list';
}
