/** run, create and launch: an image that is missing is fetched first, as `--pull` says. */
import type { Client } from '../client/client.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import type { Image } from '../model/image.ts';
import type { Operation } from '../model/operation.ts';
import { canonicalReference, LOCAL_REGISTRY, parseReference } from '../model/reference.ts';
import { parsePlatform } from '../model/platform.ts';
import type { Context, Flag } from './command.ts';
import { daemonClient } from './daemon-client.ts';
import { refuse } from './instance-values.ts';
import { idempotencyKey, longVerb } from './operation.ts';
import type { Words } from './words.ts';

const POLICIES = ['always', 'missing', 'never'] as const;

export const PULL_FLAGS: readonly Flag[] = [
  { name: 'pull', value: POLICIES.join('|'), help: 'When to fetch the image from its registry; missing: when it is not here.' },
  { name: 'platform', value: 'OS/ARCH', help: 'Platform of the image to fetch; this host’s when missing.' },
];

export async function createWithImage(context: Context, words: Words, body: { readonly spec: { readonly image?: string | undefined } }): Promise<Operation | undefined> {
  const make = () => longVerb(context, daemonClient(context), 'instance.create', { body, idempotencyKey: idempotencyKey() }, words);
  return withImage(context, words, body.spec.image ?? '', make);
}

/** `make` is called again when it failed for the missing image alone. */
export async function withImage<T>(context: Context, words: Words, image: string, make: () => Promise<T>): Promise<T> {
  const policy = POLICIES.find((one) => one === (words.text('pull') ?? 'missing')) ?? refuse('pull', words.text('pull')!, 'there is no such policy', `There are ${POLICIES.join(', ')}.`);
  const platform = words.text('platform');
  if (platform !== undefined) parsePlatform(platform);
  const fetch = async (): Promise<void> => (await import('./cold.ts')).COLD.pull(context, image, platform);
  const client = daemonClient(context);
  if (policy === 'always' && !isMadeHere(await imageOf(client, image), image)) await fetch();
  if (policy === 'missing' && platform !== undefined) {
    const here = await imageOf(client, image);
    if (here === undefined || here.status.config.architecture !== parsePlatform(platform).architecture) await fetch();
  }
  try {
    return await make();
  } catch (error) {
    if (policy !== 'missing' || !isMissingImage(error, image)) throw error;
    await fetch().catch((why: unknown) => { throw notFetched(image, why, error.details); });
    return make();
  }
}

async function imageOf(client: Client, reference: string): Promise<Image | undefined> {
  try {
    return await client.call('image.get', { query: { reference } });
  } catch (error) {
    if (error instanceof BerthError && error.code === 'notFound') return undefined;
    throw error;
  }
}

/** What a short name means here first came from no registry: there is nothing newer to fetch. */
function isMadeHere(image: Image | undefined, text: string): boolean {
  if (image === undefined) return false;
  const reference = parseReference(text);
  return (reference.registry ?? LOCAL_REGISTRY) === LOCAL_REGISTRY && image.spec.references.includes(canonicalReference({ ...reference, registry: LOCAL_REGISTRY }));
}

/** A name that was mistyped leads to a registry first: both are said, and what the daemon knows of names is kept. */
function notFetched(image: string, why: unknown, details: BerthError['details']): unknown {
  if (!(why instanceof BerthError) || why.code === 'internal') return why;
  return new BerthError(why.code, `There is no image '${printable(image)}' here, and it could not be fetched: ${why.message}`, { hint: why.hint, details: { ...details, ...why.details }, cause: why });
}

/** Only the image itself: a network, a kernel or a project that is missing is no reason to fetch it. */
function isMissingImage(error: unknown, image: string): error is BerthError {
  return error instanceof BerthError && error.code === 'notFound' && error.details?.['kind'] === 'Image' && error.details['name'] === image;
}
