/** system.templates and system.pruneTemplates: the memory of booted machines, from which microVMs start; made again when missed. */
import type { TemplateInfo } from '../../drivers/runtime/driver.ts';
import type { WarmTemplate } from '../../model/disk-usage.ts';
import type { InstanceServices } from '../instance/context.ts';
import type { Caller } from '../services.ts';

export interface PrunedTemplates {
  readonly deleted: readonly WarmTemplate[];
  readonly freedBytes: number;
}

export function warmTemplates({ runtimes }: InstanceServices): readonly WarmTemplate[] {
  return [...new Set(Object.values(runtimes))].flatMap((runtime) => runtime.templates?.() ?? []).map(told);
}

/** Those that nothing started from for so long. */
export function pruneTemplates(services: InstanceServices, caller: Caller, unusedForMs: number): Promise<PrunedTemplates> {
  const { journal, runtimes, clock } = services;
  return journal.records.audited(caller, 'system.pruneTemplates', { kind: 'System', project: '', name: 'templates', id: '' }, { unusedForMs }, async () => {
    const deleted: WarmTemplate[] = [];
    for (const runtime of new Set(Object.values(runtimes))) deleted.push(...((await runtime.pruneTemplates?.(clock.nowMs() - unusedForMs)) ?? []).map(told));
    return { deleted, freedBytes: deleted.reduce((sum, { bytes }) => sum + bytes, 0) };
  });
}

function told({ key, madeAtMs, usedAtMs, ...rest }: TemplateInfo): WarmTemplate {
  return { id: key.slice(0, 12), ...rest, madeAt: new Date(madeAtMs).toISOString(), usedAt: new Date(usedAtMs).toISOString() };
}
