/** `berth update`: change fields of the spec by their flags. */
import { terminalSafeLine } from '../../lib/terminal-safe.ts';
import { BerthError } from '../../model/errors.ts';
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { META_FLAGS, metaOf, SPEC_FLAGS, specOf } from '../instance-flags.ts';

export const update: Command = {
  name: 'update',
  summary: 'Change the spec of an instance.',
  usage: '[flags] NAME',
  flags: [
    { name: 'image', value: 'REF', help: 'Another image: refused as yet, with what to do instead.' },
    ...META_FLAGS.filter((flag) => flag.name !== 'name'),
    ...SPEC_FLAGS.filter((flag) => flag.name !== 'rm' && flag.name !== 'disk'),
  ],
  words: { min: 1, max: 1 },
  notes: ['What a change needs to take effect stands in `berth explain instance`: limits reach what runs at once, most other fields wait for the next start, and its networks, ports and volumes are those it was made with. What waits is told and stays in the status.'],
  async run(context, words) {
    const name = words.words[0]!;
    const image = words.text('image');
    const spec = { ...(await specOf(words, context)), ...(image === undefined ? {} : { image }) };
    const meta = metaOf(words);
    if (Object.keys(spec).length === 0 && Object.keys(meta).length === 0) throw new BerthError('invalid', 'Say what to change, for example --memory 1g.', { hint: '`berth update --help` lists the flags.' });
    const updated = await daemonClient(context).call('instance.update', { name, body: { ...(Object.keys(meta).length === 0 ? {} : { meta }), ...(Object.keys(spec).length === 0 ? {} : { spec }) } });
    await context.stdio.out(`${updated.meta.name}\n`);
    for (const warning of updated.status.warnings ?? []) await context.tell(`berth: ${terminalSafeLine(warning)}`);
    return 0;
  },
};
