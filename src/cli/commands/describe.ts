/** `berth describe [KIND] NAME`: one object for people. */
import { terminalSafe } from '../../lib/terminal-safe.ts';
import type { BerthObject } from '../../model/meta.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { describedLines } from '../described.ts';
import { getObject } from '../get-object.ts';
import { eventLines, headline, latestEvents } from '../instance-story.ts';
import { kindOf } from '../kind-words.ts';

export const describe: Command = {
  name: 'describe',
  summary: 'Show one object for people, with its latest events.',
  usage: '[KIND] NAME',
  flags: [],
  words: { min: 1, max: 2 },
  async run(context, words) {
    const client = daemonClient(context);
    const [first, slashed] = words.words.length === 2 ? words.words as [string, string] : words.words[0]!.includes('/') && !words.words[0]!.includes(':') ? words.words[0]!.split('/', 2) as [string, string] : ['instance', words.words[0]!];
    const kind = kindOf(first);
    const object = await getObject(client, kind, slashed);
    const events = kind.kind === 'Event' || kind.kind === 'AuditRecord' ? [] : await latestEvents(client, object.meta);
    const lines = [...(kind.kind === 'Instance' ? [headline(object as Instance), ''] : []), ...sections(object)];
    if (events.length > 0) lines.push('events:', ...eventLines(events));
    await context.stdio.out(terminalSafe(`${lines.join('\n')}\n`));
    return 0;
  },
};

function sections({ kind, meta, spec, status }: BerthObject): string[] {
  return [`kind: ${kind}`, ...(['meta', 'spec', 'status'] as const).flatMap((part) => {
    const lines = describedLines({ meta, spec, status }[part], '  ');
    return lines.length === 0 ? [] : [`${part}:`, ...lines];
  })];
}
