/** `berth system df`, `templates`, `prune-templates`: what lies on the disk. */
import { formatBytes } from '../../lib/bytes.ts';
import { textTable } from '../../lib/text-table.ts';
import type { Command } from '../command.ts';
import { ageOf } from '../age.ts';
import { daemonClient } from '../daemon-client.ts';
import { durationValue } from '../instance-values.ts';
import { wantsJson } from '../output.ts';

const systemDf: Command = {
  name: 'system df',
  summary: 'Show what lies on the disk, and what of it could be freed.',
  usage: '[-o json]',
  flags: [{ name: 'output', short: 'o', value: 'table|json', help: 'How to write it.' }],
  words: { min: 0, max: 0 },
  notes: ['RECLAIMABLE is what `berth image prune --all`, and the deletion of volumes without a user and of instances that are stopped, and `berth system prune-templates` would free.'],
  async run(context, words) {
    const json = wantsJson(words);
    const usage = await daemonClient(context).call('system.df');
    if (json) {
      await context.stdio.out(`${JSON.stringify(usage.items, undefined, 2)}\n`);
      return 0;
    }
    const rows = usage.items.map((row) => [row.what, String(row.count), String(row.active), formatBytes(row.bytes), formatBytes(row.reclaimableBytes)]);
    const total = (field: 'bytes' | 'reclaimableBytes'): string => formatBytes(usage.items.reduce((sum, row) => sum + row[field], 0));
    await context.stdio.out(textTable([{ title: 'WHAT' }, { title: 'COUNT', align: 'right' }, { title: 'IN USE', align: 'right' }, { title: 'SIZE', align: 'right' }, { title: 'RECLAIMABLE', align: 'right' }], [...rows, ['all', '', '', total('bytes'), total('reclaimableBytes')]]));
    return 0;
  },
};

const templates: Command = {
  name: 'system templates',
  summary: 'List the memory of booted machines that microVMs start from.',
  usage: '[-o json]',
  flags: [{ name: 'output', short: 'o', value: 'table|json', help: 'How to write it.' }],
  words: { min: 0, max: 0 },
  notes: ['There is one for each project and shape of machine, made after its first boot; the least used goes when there are too many, and all go with another kernel, QEMU or agent.'],
  async run(context, words) {
    const json = wantsJson(words);
    const { items } = await daemonClient(context).call('system.templates');
    if (json) {
      await context.stdio.out(`${JSON.stringify(items, undefined, 2)}\n`);
      return 0;
    }
    const rows = items.map((one) => [one.id, one.project ?? 'all', one.memoryBytes === undefined ? '-' : formatBytes(one.memoryBytes), formatBytes(one.bytes), ageOf(one.madeAt), ageOf(one.usedAt)]);
    await context.stdio.out(textTable([{ title: 'TEMPLATE' }, { title: 'PROJECT' }, { title: 'MEMORY', align: 'right' }, { title: 'SIZE', align: 'right' }, { title: 'AGE', align: 'right' }, { title: 'UNUSED FOR', align: 'right' }], rows));
    return 0;
  },
};

const pruneTemplates: Command = {
  name: 'system prune-templates',
  summary: 'Delete templates that nothing started from for a while.',
  usage: '[--unused-for TIME]',
  flags: [{ name: 'unused-for', value: 'TIME', help: 'Only those that nothing started from for so long, for example 24h; all when missing.' }],
  words: { min: 0, max: 0 },
  notes: ['What runs goes on. The next microVM of such a shape boots, and its template is made again.'],
  async run(context, words) {
    const unusedFor = words.text('unused-for');
    const { deleted, freedBytes } = await daemonClient(context).call('system.pruneTemplates', { body: { unusedForMs: unusedFor === undefined ? 0 : durationValue('unused-for', unusedFor) } });
    for (const { id } of deleted) await context.stdio.out(`${id}\n`);
    await context.tell(`${formatBytes(freedBytes)} freed.`);
    return 0;
  },
};

export function systemCommand(verb: string): Command {
  return { templates, 'prune-templates': pruneTemplates }[verb] ?? systemDf;
}
