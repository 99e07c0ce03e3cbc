/** `berth cp`, with the habits of `docker cp`. */
import type { HttpResponse } from '../../client/http-exchange.ts';
import { asBerthError, BerthError } from '../../model/errors.ts';
import { printable } from '../../model/ids.ts';
import type { Command, Context } from '../command.ts';
import { daemonClient } from '../daemon-client.ts';
import { bytesValue } from '../instance-values.ts';
import { packCopy } from '../copy-pack.ts';
import { unpackCopy } from '../copy-unpack.ts';

/** NAME:PATH, or undefined for a file of this machine; ./a:b is one. */
function insideOf(word: string): { readonly name: string; readonly path: string } | undefined {
  const colon = word.indexOf(':');
  if (colon < 1 || /^[./]/.test(word)) return undefined;
  const path = word.slice(colon + 1);
  if (path === '') throw new BerthError('invalid', `'${printable(word)}' names no path.`, { hint: `Such as ${printable(word)}/tmp.` });
  return { name: word.slice(0, colon), path: path.startsWith('/') ? path : `/${path}` };
}

/** What the root of an archive of `path` is called: native/os-copy.h os_split(). */
function rootNameOf(path: string): string {
  if (path.endsWith('/.')) return '.';
  const words = path.split('/').filter((word) => word !== '' && word !== '.');
  const last = words.at(-1) ?? '.';
  return last === '..' ? '.' : last;
}

export const cp: Command = {
  name: 'cp',
  summary: 'Copy files between an instance and this machine, or another instance.',
  usage: '[flags] NAME:PATH PATH|-  ·  PATH|- NAME:PATH  ·  NAME:PATH NAME:PATH',
  flags: [
    { name: 'archive', short: 'a', help: 'Keep owners.' },
    { name: 'follow-link', short: 'L', help: 'Copy what the link SRC leads to.' },
    { name: 'max-size', value: 'SIZE', help: 'Most that is taken out of an instance; 64 GiB when missing.' },
  ],
  words: { min: 2, max: 2 },
  async run(context, words) {
    const [from, to] = words.words as [string, string];
    const [source, destination] = [insideOf(from), insideOf(to)];
    const client = daemonClient(context);
    const archive = words.on('archive'), follow = words.on('follow-link');
    if (source === undefined && destination === undefined) throw new BerthError('invalid', 'One of the two must be a path of an instance.', { hint: 'Such as web1:/etc/hosts.' });
    if (source === undefined) {
      const { name, path } = destination!;
      if (from === '-' && (await context.stdio.isTerminal(0))) throw new BerthError('invalid', 'An archive is expected on standard input, which is a terminal.');
      const bytes = from === '-' ? context.stdio.input() : packCopy({ source: from, followLink: follow, warn: warning(context) });
      await client.upload('instance.copyIn', { name, query: { path, archive: archive ? 1 : undefined, extract: from === '-' ? 1 : undefined } }, bytes);
      return 0;
    }
    if (to === '-' && (await context.stdio.isTerminal(1))) throw new BerthError('invalid', 'An archive is not written to a terminal.', { hint: 'Name a file, or send the output somewhere.' });
    const most = maxBytes(words.text('max-size'));
    const response = await client.open('instance.copyOut', { name: source.name, query: { path: source.path, follow: follow ? 1 : undefined } });
    try {
      if (destination !== undefined) await client.upload('instance.copyIn', { name: destination.name, query: { path: destination.path, archive: archive ? 1 : undefined } }, archiveOf(response, from));
      else if (to === '-') for await (const chunk of archiveOf(response, from)) await context.stdio.out(chunk);
      else {
        await unpackCopy(archiveOf(response, from), {
          root: rootNameOf(source.path), destination: to, owners: archive, maxBytes: most, warn: warning(context),
        });
      }
    } finally {
      response.connection.close();
    }
    return 0;
  },
};

const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;

function maxBytes(text: string | undefined): number {
  return text === undefined ? DEFAULT_MAX_BYTES : bytesValue('max-size', text);
}

function warning(context: Context): (sentence: string) => Promise<void> {
  return (sentence) => context.stdio.err(`${sentence}\n`);
}

/** What was to come and did not has no other way to be told: the answer had begun. */
async function* archiveOf(response: HttpResponse, from: string): AsyncGenerator<Uint8Array> {
  try {
    for (let chunk = await response.read(); chunk !== undefined; chunk = await response.read()) yield chunk;
  } catch (error) {
    const known = asBerthError(error, 'read the archive');
    if (known.code !== 'unavailable') throw known;
    throw new BerthError('unavailable', `The archive of ${printable(from)} broke off.`, { hint: 'A file in it could not be read to its end, as those of /proc and /sys, or the instance or the daemon ended.', cause: error });
  }
}
