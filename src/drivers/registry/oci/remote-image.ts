/** One image of a registry, or of its mirrors. */
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { INDEX_TYPES, MANIFEST_TYPES } from '../../../model/image-manifest.ts';
import { canonicalReference, type ImageReference } from '../../../model/reference.ts';
import type { RemoteBlob, RemoteImage, RemoteManifest } from '../driver.ts';
import { cancelled, discard, paced, whole } from './body.ts';
import type { Endpoint } from './endpoint.ts';
import { parseContentRange } from './header-text.ts';
import type { HttpAnswer } from './http-session.ts';
import { PassingFailure } from './passing-failure.ts';
import type { RegistryRules } from './rules.ts';

const ACCEPT = [...MANIFEST_TYPES, ...INDEX_TYPES].join(', ');
/** So many bytes between two cuts, and the connection counts as useful. */
const USEFUL_BYTES = 16 * 1024;

export interface RemoteParts {
  readonly reference: ImageReference;
  /** Mirrors first, the registry itself last. */
  readonly endpoints: readonly Endpoint[];
  readonly shareKey: string;
  readonly signal: AbortSignal | undefined;
  readonly close: () => void;
}

function pullScope(repository: string): string {
  return `repository:${repository}:pull`;
}

export function openRemoteImage({ reference, endpoints, shareKey, signal: own, close }: RemoteParts): RemoteImage {
  const { repository } = reference;
  const name = nameOf(reference);

  /** The first that can; a mirror that cannot is passed over. */
  async function first<T>(what: (endpoint: Endpoint) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (const [index, endpoint] of endpoints.entries()) {
      try {
        return await what(endpoint);
      } catch (error) {
        if (signal?.aborted === true) throw cancelled(signal);
        if (index === endpoints.length - 1) throw named(error, name);
      }
    }
    throw new TypeError('an image has no endpoint');
  }

  async function* blobOf(endpoint: Endpoint, blob: RemoteBlob, at: { offset: number }, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const { rules } = endpoint;
    const patience = endpoint.patience();
    let useful = at.offset;
    while (at.offset < blob.size) {
      try {
        const answer = await endpoint.request({
          method: 'GET', path: `/v2/${repository}/blobs/${blob.digest}`, scope: pullScope(repository), expect: [200, 206], signal,
          headers: at.offset === 0 ? {} : { range: `bytes=${at.offset}-` },
        });
        // A registry that does not know ranges begins again: what is known is passed over.
        let skip = at.offset - startOf(answer, at.offset, blob, rules);
        for await (const chunk of paced(answer.body, rules.pace, signal)) {
          const rest = skip >= chunk.length ? undefined : chunk.subarray(skip);
          skip = Math.max(0, skip - chunk.length);
          if (rest === undefined) continue;
          if (rules.isBeyond(at.offset + rest.length, blob.size)) throw tooMuch(endpoint, blob);
          at.offset += rest.length;
          if (at.offset - useful >= USEFUL_BYTES) {
            useful = at.offset;
            patience.progressed();
          }
          yield rest;
        }
        if (at.offset < blob.size) throw new PassingFailure(new BerthError('invalid', `${endpoint.registry} sent ${at.offset} of the ${blob.size} bytes of ${blob.digest}.`));
      } catch (error) {
        await patience.failed(error, signal);
      }
    }
  }

  return {
    name, digest: reference.digest, shareKey,
    manifest: (digest, signal = own) => first((endpoint) => fetchManifest(endpoint, repository, digest ?? reference.digest ?? reference.tag ?? 'latest', signal), signal),
    async *blob(blob, offset = 0, signal = own) {
      if (!endpoints.every(({ rules }) => rules.isDigest(blob.digest))) throw new BerthError('invalid', 'A digest must be sha256: and 64 lower-case hex digits.');
      const at = { offset };
      for (const [index, endpoint] of endpoints.entries()) {
        try {
          yield* blobOf(endpoint, blob, at, signal);
          return;
        } catch (error) {
          if (signal?.aborted === true) throw cancelled(signal);
          if (index === endpoints.length - 1) throw named(error, name);
        }
      }
    },
    [Symbol.asyncDispose]: async () => close(),
  };
}

/** Where the bytes of the answer begin. */
function startOf(answer: HttpAnswer, offset: number, blob: RemoteBlob, { isBeyond, isPlain }: RegistryRules): number {
  const refuse = (why: string): never => {
    answer.body.destroy();
    throw new BerthError('invalid', `The registry's answer for ${blob.digest} was refused: ${why}.`);
  };
  const encoding = answer.header('content-encoding');
  if (!isPlain(encoding)) return refuse(`it is encoded as ${printable(encoding ?? '')}, which was not asked for`);
  let start = 0;
  if (answer.status === 206) {
    const range = parseContentRange(answer.header('content-range'));
    if (range === undefined || range.first > offset || (range.size !== undefined && range.size !== blob.size)) return refuse('its range is not what was asked for');
    start = range.first;
  }
  const length = answer.header('content-length');
  if (length !== undefined && isBeyond(start + Number(length), blob.size)) return refuse(`it announces ${printable(length)} bytes, the manifest ${blob.size - start}`);
  return start;
}

function tooMuch(endpoint: Endpoint, blob: RemoteBlob): BerthError {
  return new BerthError('invalid', `${endpoint.registry} sends more than the ${blob.size} bytes that ${blob.digest} has.`);
}

async function fetchManifest(endpoint: Endpoint, repository: string, tagOrDigest: string, signal: AbortSignal | undefined): Promise<RemoteManifest> {
  const { rules } = endpoint;
  const patience = endpoint.patience();
  for (;;) {
    try {
      const answer = await endpoint.request({ method: 'GET', path: `/v2/${repository}/manifests/${tagOrDigest}`, scope: pullScope(repository), expect: [200], headers: { accept: ACCEPT }, signal });
      const said = answer.header('content-type') ?? '';
      const mediaType = rules.manifestType(said);
      if (mediaType === undefined) {
        discard(answer.body);
        if (/manifest\.v1\+/.test(said)) throw new BerthError('unsupported', 'The image is of schema 1, which nobody should use any more: it cannot be checked.', { hint: 'Push it again with a tool of this decade.' });
        throw new BerthError('invalid', `${endpoint.registry} sent ${said === '' ? 'something without a type' : printable(said)} where a manifest was asked for.`, { hint: 'Is this the address of a registry?' });
      }
      return { bytes: await whole(answer.body, rules.maxManifestBytes, 'a manifest', rules.pace, signal), mediaType };
    } catch (error) {
      await patience.failed(error, signal);
    }
  }
}

/** Tag and digest, as far as they were written. */
function nameOf(reference: ImageReference): string {
  const name = canonicalReference(reference);
  return reference.tag !== undefined && reference.digest !== undefined ? `${name}@${reference.digest}` : name;
}

/** Errors that say what was asked for. */
function named(error: unknown, name: string): unknown {
  if (!(error instanceof BerthError) || error.code !== 'notFound') return error;
  return new BerthError('notFound', `The registry has no ${name}.`, { hint: 'Check the name and the tag; a private repository wants a login.', cause: error, details: error.details });
}
