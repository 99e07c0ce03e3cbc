/** `berth image list` and `image prune`: what images take, and how to have it back. */
import { formatBytes } from '../../lib/bytes.ts';
import { terminalSafeLine } from '../../lib/terminal-safe.ts';
import type { ImageUsage } from '../../model/disk-usage.ts';
import type { Image } from '../../model/image.ts';
import { shortReference } from '../../model/reference.ts';
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { kindOf } from '../kind-words.ts';
import { LIST_FLAGS, listKind } from '../listing.ts';
import { VIEWS, type View, type ViewColumn } from '../views.ts';

export const imageList: Command = {
  name: 'image list', summary: 'List images.', usage: '[flags]', flags: LIST_FLAGS, words: { min: 0, max: 0 },
  notes: ['SIZE is what its layers take unpacked; SHARED the part of it that other images have, too, and that lies there once; OWN what its deletion frees.'],
  run(context, words) {
    const client = daemonClient(context);
    const view = async (): Promise<View> => withUsage((await client.call('image.usage', { project: words.on('all-projects') ? '-' : undefined })).items);
    return listKind(context, client, kindOf('image'), words, { view });
  },
};

function withUsage(items: readonly ImageUsage[]): View {
  const byName = new Map(items.map((one) => [`${one.project}/${one.name}`, one]));
  const column = (title: string, bytes: (usage: ImageUsage) => number): ViewColumn<Image> => ({
    title, align: 'right',
    cell({ meta }) {
      const usage = byName.get(`${meta.project}/${meta.name}`);
      return usage === undefined ? '-' : formatBytes(bytes(usage));
    },
  });
  const sizes = [column('SIZE', (one) => one.bytes), column('SHARED', (one) => one.sharedBytes), column('OWN', (one) => one.ownBytes)];
  const view = VIEWS['Image']!;
  return { ...view, columns: view.columns.flatMap((one) => (one.title === 'SIZE' ? (sizes as unknown as typeof view.columns) : [one])) };
}

export const imagePrune: Command = {
  name: 'image prune',
  summary: 'Delete images that nothing uses, and content that belongs to none.',
  usage: '[--all]',
  flags: [{ name: 'all', short: 'a', help: 'Also images that have a name.' }],
  words: { min: 0, max: 0 },
  notes: ['Without --all only images whose name moved to another one. What an instance was made from stays, whatever its state.'],
  async run(context, words) {
    const { deleted, freedBytes } = await daemonClient(context).call('image.prune', { body: { all: words.on('all') } });
    for (const { id, references } of deleted) await context.stdio.out(`${terminalSafeLine(references[0] === undefined ? id : shortReference(references[0]))}\n`);
    await context.tell(`${formatBytes(freedBytes)} freed.`);
    return 0;
  },
};
