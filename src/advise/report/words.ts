/** How numbers and answers are written for people. */
import type { PlacedWord } from '../cost/cost-report.ts';

export const FORM_WORDS: Readonly<Record<PlacedWord, string>> = {
  'app-container': 'app container', 'os-container': 'OS container', microvm: 'microVM', vm: 'VM', host: 'on the host', none: 'no form', physical: 'machine of its own',
};

/** '12,345.00' of '12345.00'. */
export function grouped(amount: string): string {
  const [whole, fraction] = amount.split('.');
  const text = whole!.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? text : `${text}.${fraction}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${grouped(String(number))} ${number === 1 ? one : many}`;
}

export function milliseconds(ms: number | null): string {
  if (ms === null) return 'not measured';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

const GIB = 1024 ** 3;

export function memory(bytes: number): string {
  return bytes >= GIB ? `${Math.round(bytes / GIB * 10) / 10} GiB` : `${Math.round(bytes / GIB * 1024)} MiB`;
}
