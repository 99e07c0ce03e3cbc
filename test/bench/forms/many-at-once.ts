/** Many of a form at once: how long until all answer, and what one more takes, by taking them away again. */
import type { Form } from '../../../src/model/forms.ts';
import { slopeOf } from '../../../src/lib/statistics.ts';
import { timed } from '../figures.ts';
import type { RunningForms } from './running-forms.ts';

export interface ManyFigures {
  readonly count: number;
  readonly allUpMs: number;
  /** PSS of all together. */
  readonly memoryBytes: number;
  readonly memoryEachBytes: number;
  readonly diskEachBytes: number;
}

export interface ManyPlan {
  readonly form: Form;
  readonly count: number;
  /** Requests under way at a time. */
  readonly parallel: number;
  readonly more?: Readonly<Record<string, unknown>>;
  /** Slopes over 1 to this many of them. */
  readonly slope: number;
}

export async function manyAtOnce(forms: RunningForms, { form, count, parallel, more, slope }: ManyPlan): Promise<ManyFigures> {
  const names = Array.from({ length: count }, (_, index) => `many${index + 1}`);
  const left = [...names];
  const diskBefore = await forms.diskBytes();
  try {
    const allUpMs = await timed(() => Promise.all(Array.from({ length: parallel }, async () => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) await forms.start(form, name, more);
    })));
    const memoryBytes = await forms.memoryBytes(names);
    const points: { readonly n: number; readonly memory: number; readonly disk: number }[] = [];
    await forms.remove(...names.splice(slope));
    while (names.length > 0) {
      points.push({ n: names.length, memory: await forms.memoryBytes(names), disk: await forms.diskBytes() - diskBefore });
      await forms.remove(names.pop()!);
    }
    return {
      count, allUpMs, memoryBytes,
      memoryEachBytes: slopeOf(points.map(({ n, memory }) => [n, memory]))!.slope, diskEachBytes: slopeOf(points.map(({ n, disk }) => [n, disk]))!.slope,
    };
  } finally {
    await forms.remove(...names);
  }
}
