/** Sending (distribution specification, Push): what is there is left, what lies beside it is mounted, the rest is uploaded. */
import { digestOf } from '../../../lib/digest.ts';
import { parallel } from '../../../lib/parallel.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import { LayerMeter } from '../../../model/layer-progress.ts';
import type { RemoteBlob, RemoteManifest } from '../driver.ts';
import { discard } from './body.ts';
import type { Endpoint } from './endpoint.ts';
import { parseUploadRange } from './header-text.ts';
import type { HttpAnswer } from './http-session.ts';

const AT_ONCE = 3;
const UPLOAD_MS = 24 * 3_600_000;
const UPLOAD_IDLE_MS = 60_000;
/** A registry puts together, and hashes, what it was sent. */
const COMMIT_MS = 600_000;
const EMPTY = new Uint8Array(0);

export interface BlobSource {
  readonly read: (blob: RemoteBlob) => AsyncIterable<Uint8Array>;
  /** Repositories of the same registry. */
  readonly mountFrom: (digest: string) => readonly string[];
}

export interface PushTarget {
  readonly endpoint: Endpoint;
  readonly repository: string;
  readonly signal: AbortSignal | undefined;
}

function pushScope(repository: string, mountedFrom?: string): string {
  return `repository:${repository}:pull,push${mountedFrom === undefined ? '' : ` repository:${mountedFrom}:pull`}`;
}

export async function pushBlobs(target: PushTarget, blobs: readonly RemoteBlob[], source: BlobSource, meter: LayerMeter): Promise<void> {
  const each = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
  await parallel(each, AT_ONCE, async (blob) => {
    const { endpoint, repository, signal } = target;
    const there = await endpoint.request({ method: 'HEAD', path: `/v2/${repository}/blobs/${blob.digest}`, scope: pushScope(repository), expect: [200, 404], signal });
    discard(there.body);
    if (there.status === 200) return meter.state(blob.digest, 'present');
    for (const from of source.mountFrom(blob.digest).filter((one) => one !== repository).slice(0, 3)) {
      if (await mount(target, blob, from)) return meter.state(blob.digest, 'present');
    }
    await upload(target, blob, source, meter);
    meter.state(blob.digest, 'done');
  });
}

/** A registry that does not mount begins an upload instead; it is left to its time limit. */
async function mount({ endpoint, repository, signal }: PushTarget, { digest }: RemoteBlob, from: string): Promise<boolean> {
  try {
    const query = new URLSearchParams({ mount: digest, from });
    const answer = await endpoint.request({ method: 'POST', path: `/v2/${repository}/blobs/uploads/?${query.toString()}`, scope: pushScope(repository, from), expect: [201, 202], headers: { 'content-length': '0' }, signal });
    discard(answer.body);
    return answer.status === 201;
  } catch (error) {
    // Not every caller who may push may read the other repository.
    if (error instanceof BerthError && ['unauthenticated', 'forbidden', 'notFound', 'invalid'].includes(error.code)) return false;
    throw error;
  }
}

async function upload({ endpoint, repository, signal }: PushTarget, blob: RemoteBlob, source: BlobSource, meter: LayerMeter): Promise<void> {
  const scope = pushScope(repository);
  const patience = endpoint.patience();
  let place: URL | undefined;
  for (;;) {
    try {
      let offset = 0;
      if (place === undefined) {
        const begun = await endpoint.request({ method: 'POST', path: `/v2/${repository}/blobs/uploads/`, scope, expect: [202], headers: { 'content-length': '0' }, signal });
        discard(begun.body);
        place = await placeOf(begun, endpoint, undefined, signal);
      } else {
        const known: HttpAnswer = await endpoint.request({ method: 'GET', path: place, scope, expect: [204, 404], signal });
        discard(known.body);
        if (known.status === 404) {
          place = undefined;
          continue;
        }
        offset = Math.min(parseUploadRange(known.header('range')), blob.size);
        place = await placeOf(known, endpoint, place, signal);
      }
      if (offset < blob.size) {
        const sent = await endpoint.request({
          method: 'PATCH', path: place, scope, expect: [201, 202], once: true, signal, body: counted(source.read(blob), blob, offset, meter), answerMs: UPLOAD_MS, idleMs: UPLOAD_IDLE_MS,
          headers: { 'content-type': 'application/octet-stream', 'content-length': String(blob.size - offset), ...(offset === 0 ? {} : { 'content-range': `${offset}-${blob.size - 1}` }) },
        });
        discard(sent.body);
        place = await placeOf(sent, endpoint, place, signal);
      }
      meter.state(blob.digest, 'verifying');
      const whole = new URL(place);
      whole.searchParams.set('digest', blob.digest);
      discard((await endpoint.request({ method: 'PUT', path: whole, scope, expect: [201], once: true, signal, body: EMPTY, headers: { 'content-length': '0' }, answerMs: COMMIT_MS })).body);
      return;
    } catch (error) {
      await patience.failed(error, signal);
    }
  }
}

/** Where the upload goes on. Behind a proxy that ends TLS, registries name themselves without it. */
async function placeOf(answer: HttpAnswer, endpoint: Endpoint, before: URL | undefined, signal: AbortSignal | undefined): Promise<URL> {
  const location = answer.header('location');
  if (location === undefined && before !== undefined) return before;
  if (location === undefined || !URL.canParse(location, answer.url)) throw new BerthError('invalid', `${endpoint.registry} does not say where an upload goes on.`);
  const place = new URL(location, answer.url);
  const origin = await endpoint.origin(signal);
  if (place.host === origin.host) place.protocol = origin.protocol;
  return place;
}

async function* counted(bytes: AsyncIterable<Uint8Array>, { digest, size }: RemoteBlob, offset: number, meter: LayerMeter): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of bytes) {
    const rest = at + chunk.length <= offset ? undefined : chunk.subarray(Math.max(0, offset - at));
    at += chunk.length;
    if (at > size) throw new BerthError('invalid', `Blob ${digest} has more than ${size} bytes.`);
    if (rest === undefined) continue;
    yield rest;
    meter.bytes(digest, at);
  }
  if (at !== size) throw new BerthError('invalid', `Blob ${digest} has ${at} bytes, not ${size}.`);
}

/** `name`: a tag, or the digest itself. */
export async function pushManifest({ endpoint, repository, signal }: PushTarget, { bytes, mediaType }: RemoteManifest, name: string): Promise<string> {
  const digest = digestOf(bytes);
  const answer = await endpoint.request({
    method: 'PUT', path: `/v2/${repository}/manifests/${name}`, scope: pushScope(repository), expect: [200, 201], signal, body: bytes, answerMs: COMMIT_MS,
    headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
  });
  discard(answer.body);
  const said = answer.header('docker-content-digest');
  if (said !== undefined && said !== digest) throw new BerthError('invalid', `${endpoint.registry} stored ${printable(said)}, not ${digest}.`);
  return digest;
}
