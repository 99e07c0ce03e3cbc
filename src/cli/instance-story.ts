/** What is known about why an instance is as it is: for `why` and `describe`. */
import type { Client } from '../client/client.ts';
import type { Event } from '../model/event.ts';
import { FORM_LABEL } from '../model/forms.ts';
import { STATE_RULES, type Instance } from '../model/instance-status.ts';
import type { Operation } from '../model/operation.ts';
import { ageOf } from './age.ts';

const EVENTS_SHOWN = 10;

export async function latestEvents(client: Client, target: { readonly name: string }): Promise<readonly Event[]> {
  const { items } = await client.call('event.list', { query: { filter: [`target=${target.name}`], limit: 1000 } });
  return items.slice(-EVENTS_SHOWN);
}

export function eventLines(events: readonly Event[]): string[] {
  return events.map(({ spec }) => `  ${ageOf(spec.time).padStart(4)} ago  ${spec.message}`);
}

/** The operations of this very instance, not of an older one with its name. */
export async function latestOperation(client: Client, instance: Instance): Promise<Operation | undefined> {
  const { items } = await client.call('operation.list');
  return items.filter((one) => one.spec.target.id === instance.meta.id).toSorted((a, b) => a.status.startedAt.localeCompare(b.status.startedAt)).at(-1);
}

/** One sentence: what it is, in which state, since when, and how it ended. */
export function headline({ meta, status, spec }: Instance): string {
  const form = FORM_LABEL[status.form];
  const state = status.state === 'stopped' ? endText(status) : `is ${status.state}${status.state === 'running' && status.startedAt !== undefined ? ` since ${ageOf(status.startedAt)}` : ''}`;
  // One that ended by itself is not missed: its restart policy decides that.
  const wished = spec.running === true && ['failed', 'backoff'].includes(status.state) ? ', and should run' : spec.running === false && status.state === 'running' ? ', and should not run' : '';
  return `${meta.name}, ${article(form)} ${form}, ${state}${wished}.`;
}

function article(word: string): string {
  return /^[aeiou]|^OS /i.test(word) ? 'an' : 'a';
}

function endText(status: Instance['status']): string {
  const when = status.finishedAt === undefined ? '' : ` ${ageOf(status.finishedAt)} ago`;
  switch (status.reason) {
    case undefined: return 'is stopped and has never run';
    case 'oom': return `was killed${when} because it used more memory than it may`;
    case 'killed': return `was killed${when}${status.exitCode === undefined ? '' : ` (exit code ${status.exitCode})`}`;
    case 'poweroff': return `powered itself off${when}`;
    case 'panic': return `ended${when}: its kernel panicked`;
    case 'reboot': return `rebooted${when}`;
    case 'unknown': return `ended${when}, and nobody saw how`;
    default: return `ended${when} with exit code ${status.exitCode ?? 'unknown'}`;
  }
}

export function stateMeaning(status: Instance['status']): string {
  return STATE_RULES[status.state]?.means ?? '';
}
