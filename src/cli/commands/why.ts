/** `berth why NAME`: its state, what failed, at which step, what happened last, and what to do. */
import { terminalSafe } from '../../lib/terminal-safe.ts';
import type { Command } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eventLines, headline, latestEvents, latestOperation, stateMeaning } from '../instance-story.ts';
import { statesAllowing } from '../../model/instance-status.ts';
import { wantsJson } from '../output.ts';

export const why: Command = {
  name: 'why',
  summary: 'Say why an instance is in the state that it is in.',
  usage: 'NAME [-o json]',
  flags: [{ name: 'output', short: 'o', value: 'text|json', help: 'How to write it.' }],
  words: { min: 1, max: 1 },
  async run(context, words) {
    const client = daemonClient(context);
    const instance = await client.call('instance.get', { name: words.words[0]! });
    const [events, operation] = await Promise.all([latestEvents(client, instance.meta), latestOperation(client, instance)]);
    if (wantsJson(words, 'text')) {
      await context.stdio.out(`${JSON.stringify({ instance, operation, events }, undefined, 2)}\n`);
      return 0;
    }
    const { status } = instance;
    const lines = [headline(instance), `  ${stateMeaning(status)}`];
    if (status.error !== undefined) {
      lines.push('', `Error: ${status.error.message}`);
      if (status.error.hint !== undefined) lines.push(`  hint: ${status.error.hint}`);
    }
    if (operation !== undefined) {
      const { spec, status: at } = operation;
      const step = spec.steps[at.step];
      if (at.state === 'failed' || at.state === 'cancelled') lines.push('', `Last operation: ${spec.verb} ${at.state} at the step '${step ?? '?'}' (${at.step + 1} of ${spec.steps.length}).`);
      else if (at.state !== 'succeeded') lines.push('', `At work: ${spec.verb}, step '${step ?? '?'}' (${at.step + 1} of ${spec.steps.length}), operation ${operation.meta.name}.`);
      if (at.error !== undefined && at.error.message !== status.error?.message) lines.push(`  ${at.error.message}`);
    }
    if (status.retryAt !== undefined && status.state === 'backoff') lines.push('', `It is started again at ${status.retryAt} (${status.reason === 'reboot' ? `it rebooted itself ${status.reboots ?? 0} times in a row` : `${status.restarts} restarts so far`}).`);
    if (status.decision !== undefined) lines.push('', `Isolation ${status.decision.isolation} because:`, ...status.decision.reasons.map((reason) => `  ${reason}`));
    for (const warning of status.warnings ?? []) lines.push('', `Warning: ${warning}`);
    if (events.length > 0) lines.push('', 'What happened:', ...eventLines(events));
    const next = ['start', 'stop', 'delete', 'restart', 'resume', 'exec'].filter((verb) => statesAllowing(verb).includes(status.state));
    if (next.length > 0) lines.push('', `Possible now: ${next.join(', ')}; \`berth logs ${instance.meta.name}\` shows its output.`);
    await context.stdio.out(terminalSafe(`${lines.join('\n')}\n`));
    return 0;
  },
};
