/** `berth doctor`: every check, whatever one of them does, and the answer in two shapes. */
import { accelerator, guestKernel, sharing } from './accelerator-check.ts';
import { HARDENING_CHECKS } from './hardening-checks.ts';
import { finding, type Check, type Finding, type FindingStatus, type HostView } from './finding.ts';
import { KERNEL_CHECKS } from './kernel-checks.ts';
import { NETWORK_CHECKS } from './network-checks.ts';
import { SPACE_CHECKS } from './space-checks.ts';
import { protocolNames, tools } from './tool-checks.ts';

export interface Section {
  readonly title: string;
  readonly checks: readonly Check[];
}

export const SECTIONS: readonly Section[] = [
  { title: 'Kernel', checks: KERNEL_CHECKS },
  { title: 'Tools', checks: [tools, protocolNames] },
  { title: 'Virtual machines', checks: [accelerator, guestKernel, sharing] },
  { title: 'Room', checks: SPACE_CHECKS },
  { title: 'Network', checks: NETWORK_CHECKS },
  { title: 'Hardening', checks: HARDENING_CHECKS },
];

export interface DoctorReport {
  /** The worst of all: info counts as ok. */
  readonly status: Exclude<FindingStatus, 'info'>;
  readonly sections: readonly { readonly title: string; readonly findings: readonly Finding[] }[];
}

export async function examine(host: HostView, sections: readonly Section[] = SECTIONS): Promise<DoctorReport> {
  const done: { title: string; findings: readonly Finding[] }[] = [];
  for (const section of sections) {
    const findings: Finding[] = [];
    for (const check of section.checks) findings.push(...(await tried(check, host)));
    done.push({ title: section.title, findings });
  }
  const all = done.flatMap((section) => section.findings.map((one) => one.status));
  return { status: all.includes('fail') ? 'fail' : all.includes('warn') ? 'warn' : 'ok', sections: done };
}

/** A check that breaks is itself something to say, and must not hide the others. */
async function tried(check: Check, host: HostView): Promise<readonly Finding[]> {
  try {
    return await check(host);
  } catch (error) {
    return [finding(`doctor.${check.name}`, `Check “${check.name}”`, 'warn', (error as Error).message, 'This check could not be made.', 'Report it with the output of `berth doctor -o json`.')];
  }
}

const MARKS: Readonly<Record<FindingStatus, string>> = { ok: '✔', warn: '!', fail: '✖', info: 'i' };
const COLOURS: Readonly<Record<FindingStatus, string>> = { ok: '32', warn: '33', fail: '31', info: '36' };

export function reportText(report: DoctorReport, colour: boolean): string {
  const mark = (status: FindingStatus): string => (colour ? `\u001b[${COLOURS[status]}m${MARKS[status]}\u001b[0m` : MARKS[status]);
  const blocks = report.sections.map((section) => {
    const lines = section.findings.flatMap((one) => [
      ` ${mark(one.status)} ${one.title}: ${one.found}`,
      `     ${one.means}`,
      ...(one.fix === '' ? [] : [`     → ${one.fix}`]),
    ]);
    return `${section.title}\n${lines.join('\n')}\n`;
  });
  const count = (status: FindingStatus): number => report.sections.flatMap((section) => section.findings).filter((one) => one.status === status).length;
  return `${blocks.join('\n')}\n${count('ok')} ok, ${count('info')} to know, ${count('warn')} warnings, ${count('fail')} failures\n`;
}

export function reportJson(report: DoctorReport): string {
  return `${JSON.stringify({ status: report.status, checks: report.sections.flatMap((section) => section.findings.map((one) => ({ section: section.title, ...one }))) }, null, 2)}\n`;
}
