/**
 * Figures with those of unmeasured forms filled in from the shipped ones: a form that nobody measured must not look as if
 * it cost nothing. Each keeps its own source; what is said of density is said of measured ones alone.
 */
import type { Figures } from '../model/figures.ts';
import { SHIPPED_FIGURES } from './shipped-figures.ts';

export function completeFigures(figures: Figures): Figures {
  return figures.shipped ? figures : { ...figures, forms: { ...SHIPPED_FIGURES.forms, ...figures.forms } };
}
