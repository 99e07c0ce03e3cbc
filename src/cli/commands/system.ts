/** `berth system df`: what lies on the disk. */
import { formatBytes } from '../../lib/bytes.ts';
import { textTable } from '../../lib/text-table.ts';
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { wantsJson } from '../output.ts';

export const systemDf: Command = {
  name: 'system df',
  summary: 'Show what lies on the disk, and what of it could be freed.',
  usage: '[-o json]',
  flags: [{ name: 'output', short: 'o', value: 'table|json', help: 'How to write it.' }],
  words: { min: 0, max: 0 },
  notes: ['RECLAIMABLE is what `berth image prune --all`, and the deletion of volumes without a user and of instances that are stopped, would free.'],
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
