/** `berth create` and `berth launch`. */
import type { Client } from '../../client/client.ts';
import { FREE_REBOOTS } from '../../lib/backoff.ts';
import { BerthError } from '../../model/errors.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { createWithImage, PULL_FLAGS } from '../image-first.ts';
import { META_FLAGS, SPEC_FLAGS } from '../instance-flags.ts';
import { NO_WAIT } from '../operation.ts';
import { objectOf } from './run.ts';

export const create: Command = {
  name: 'create',
  summary: 'Make an instance without starting it.',
  usage: '[flags] IMAGE [COMMAND…]',
  flags: [...META_FLAGS, ...SPEC_FLAGS, ...PULL_FLAGS, NO_WAIT],
  words: { min: 1 },
  passAfter: 1,
  async run(context, words) {
    const body = await objectOf(context, words);
    const operation = await createWithImage(context, words, body);
    if (operation !== undefined) await context.stdio.out(`${operation.spec.target.name}\n`);
    return 0;
  },
};

export const launch: Command = {
  name: 'launch',
  summary: 'Make and start an OS container, or a VM with --vm.',
  usage: '[flags] IMAGE [NAME]',
  flags: [...META_FLAGS, ...SPEC_FLAGS, ...PULL_FLAGS, NO_WAIT],
  words: { min: 1, max: 2 },
  notes: ['Waits until the init has brought the system up.'],
  async run(context, words) {
    const [image = '', name = words.text('name')] = words.words;
    const made = await objectOf(context, { ...words, words: [image] });
    const body = { meta: { ...made.meta, ...(name === undefined ? {} : { name }) }, spec: { ...made.spec, mode: 'os', running: true } };
    const operation = await createWithImage(context, words, body);
    if (operation !== undefined) await untilUp(context, operation.spec.target.name);
    return 0;
  },
};

/** Longer than any start script is given. */
const BOOT_TIMEOUT_MS = 200_000;

/** A reboot that is not paused for is over at once. */
async function isPaused(client: Client, name: string): Promise<boolean> {
  const { status } = await client.call('instance.get', { name });
  return status.state === 'backoff' && (status.reboots ?? 0) > FREE_REBOOTS;
}

async function untilUp(context: Context, name: string): Promise<void> {
  const client = daemonClient(context);
  const query = { state: 'booted,backoff,stopped,failed', timeoutMs: BOOT_TIMEOUT_MS };
  let { state, reason } = await client.call('instance.wait', { name, query });
  // A first boot may end in a reboot, or a few; one that goes on rebooting is paused for.
  while (state === 'backoff' && reason === 'reboot' && !await isPaused(client, name)) ({ state, reason } = await client.call('instance.wait', { name, query }));
  if (state === 'backoff') throw new BerthError('wrongState', `'${name}' did not stay up; it is tried again and again.`, { hint: `berth logs ${name} shows what its console said; berth stop ${name} ends it.` });
  if (state === 'stopped' || state === 'failed') throw new BerthError('wrongState', `'${name}' did not stay up: it is ${state}.`, { hint: `berth logs ${name} shows what its console said.` });
  const { status } = await client.call('instance.get', { name });
  if (status.health === 'unhealthy') await context.tell(`berth: parts of '${name}' did not come up: berth exec ${name} systemctl --failed`);
  await context.stdio.out(`${name}\n`);
}
