/** `berth pull`, `push` and `image copy`: images between this host and registries. */
import { BerthError } from '../../model/errors.ts';
import type { Operation } from '../../model/operation.ts';
import { parsePlatform } from '../../model/platform.ts';
import { shortReference } from '../../model/reference.ts';
import type { Command, Context, Flag } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { eachName } from '../each-name.ts';
import { interruptibleVerb, NO_WAIT } from '../operation.ts';
import { credentialsFor } from '../registry-access.ts';
import type { Words } from '../words.ts';

const PLATFORM: Flag = { name: 'platform', value: 'OS/ARCH', help: 'Which image of several (linux/arm64); this host’s when missing.' };
const QUIET: Flag = { name: 'quiet', short: 'q', help: 'Show no progress.' };
const WAITING: Words = { words: [], text: () => undefined, all: () => [], on: () => false, given: () => false };

async function pullOne(context: Context, reference: string, platform: string | undefined, words: Words): Promise<Operation | undefined> {
  if (platform !== undefined) parsePlatform(platform);
  const client = daemonClient(context);
  const access = await credentialsFor(context, client, [reference]);
  return interruptibleVerb(context, client, 'image.pull', { body: { reference, ...(platform === undefined ? {} : { platform }), ...access } }, words);
}

/** For a command that needs the image: nothing of it goes to standard output. */
export async function pullForCommand(context: Context, reference: string, platform: string | undefined): Promise<void> {
  await pullOne(context, reference, platform, WAITING);
}

export function pullCommand(name: string): Command {
  return {
    name, summary: 'Fetch an image from a registry.', usage: '[--platform OS/ARCH] REF…',
    flags: [PLATFORM, QUIET, NO_WAIT],
    words: { min: 1 },
    notes: ['A short name is looked up in the registries that the node searches (docker.io). Ctrl-C cancels; the next pull goes on where this one ended.'],
    async run(context, words) {
      const quiet = silenced(context, words);
      return eachName(context, words.words, async (reference) => {
        const operation = await pullOne(quiet, reference, words.text('platform'), words);
        if (operation !== undefined) await context.stdio.out(`${shortReference(String(operation.status.result?.['reference'] ?? reference))}\n`);
      });
    },
  };
}

export function pushCommand(name: string): Command {
  return {
    name, summary: 'Send an image to a registry.', usage: 'REF [DESTINATION]',
    flags: [QUIET, NO_WAIT],
    words: { min: 1, max: 2 },
    notes: ['Without a destination it goes to where its name says. Prints the digest that it has there.'],
    async run(context, words) {
      const [reference, destination] = words.words as [string, string?];
      const client = daemonClient(context);
      const access = await credentialsFor(context, client, [destination ?? reference]);
      const operation = await interruptibleVerb(silenced(context, words), client, 'image.push', { body: { reference, ...(destination === undefined ? {} : { destination }), ...access } }, words);
      if (operation !== undefined) await context.stdio.out(`${String(operation.status.result?.['digest'])}\n`);
      return 0;
    },
  };
}

export const copy: Command = {
  name: 'image copy',
  summary: 'Copy an image from one registry to another, with all its platforms.',
  usage: '[--platform OS/ARCH] SOURCE DESTINATION',
  flags: [{ ...PLATFORM, help: 'This platform alone.' }, QUIET, NO_WAIT],
  words: { min: 2, max: 2 },
  notes: ['Nothing of it stays on this host. A name of this host (localhost/NAME, or a short name that is here) at one end makes it a push or a pull.'],
  async run(context, words) {
    const [source, destination] = words.words as [string, string];
    if (source === destination) throw new BerthError('invalid', 'Both ends are the same.');
    const platform = words.text('platform');
    const client = daemonClient(context);
    const access = await credentialsFor(context, client, [source, destination]);
    const operation = await interruptibleVerb(silenced(context, words), client, 'image.copy', { body: { source, destination, ...(platform === undefined ? {} : { platform }), ...access } }, words);
    if (operation !== undefined) await context.stdio.out(`${String(operation.status.result?.['digest'])}\n`);
    return 0;
  },
};

/** Progress goes to standard error, and so does what went wrong: that is said by the caller. */
function silenced(context: Context, words: Words): Context {
  return words.on('quiet') ? { ...context, stdio: { ...context.stdio, err: async () => undefined } } : context;
}
