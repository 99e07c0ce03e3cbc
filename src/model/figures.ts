/** Figures: what each form costs on a host, as measured; the input of scores, packing and reports. */
import * as z from 'zod';
import { FORMS } from './forms.ts';
import { plainText } from './text.ts';

const measured = z.strictObject({
  value: z.number().min(0),
  /** Half the distance between the quartiles, in the unit of `value`; missing when it was not measured. */
  spread: z.number().min(0).optional(),
  /** Measurements behind it. */
  n: z.number().int().min(1),
  /** RFC 3339 date. */
  date: plainText(32).min(4),
  /** Command or page that the value comes from. */
  source: plainText(512).min(1),
  /** Does it say something about other hosts? Times under emulation do not. */
  transferable: z.boolean(),
});
export type Measured = z.infer<typeof measured>;

export const formFigures = z.strictObject({
  /** From the request to the first answer, nothing cached. Milliseconds. */
  startColdMs: measured.optional(),
  /** The same with everything that Berth keeps ready. Milliseconds. */
  startWarmMs: measured.optional(),
  /** Memory of one idle instance beyond its own processes, as the slope over many. Bytes. */
  memoryOverheadBytes: measured.optional(),
  /** Disk of one more instance of the same image. Bytes. */
  diskBytes: measured.optional(),
  /** Share of one core that an idle instance takes; 0.02 is two percent. */
  idleCpu: measured.optional(),
});
export type FormFigures = z.infer<typeof formFigures>;

export const figures = z.strictObject({
  /** In words: processor, kernel, virtualization. */
  host: plainText(512).min(1),
  /** Are these the ones that come with Berth, for want of a calibration of this host? */
  shipped: z.boolean(),
  hardwareVirtualization: z.boolean(),
  forms: z.partialRecord(z.enum(FORMS), formFigures),
});
export type Figures = z.infer<typeof figures>;
