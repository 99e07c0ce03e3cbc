/** Routes of images. */
import { Readable } from 'node:stream';
import { copyImage } from '../../control/image/copy.ts';
import { pruneImages } from '../../control/image/prune.ts';
import { pullImage } from '../../control/image/pull.ts';
import { pushImage } from '../../control/image/push.ts';
import { imageUsage } from '../../control/image/usage.ts';
import { parsePlatform, type Platform } from '../../model/platform.ts';
import type { CredentialsByRegistry } from '../../model/registry-access.ts';
import { bootstrapImage, deleteImage, exportImage, importDisk, importImage, tagImage, type ExportFormat } from '../../control/image/image.ts';
import { findImage } from '../../control/image/find.ts';
import type { DiskFormat } from '../../drivers/content/driver.ts';
import { BerthError } from '../../model/errors.ts';
import { bodyBytes } from '../body-bytes.ts';
import type { Call, Handler } from '../context.ts';
import { keyOf } from '../idempotency-key.ts';
import { leftBy } from '../left-by.ts';
import { answerOperation, listObjects } from '../list.ts';

const services = (call: Call) => call.edge.control.services;

function platformOf(text: string | undefined): { platform?: Platform } {
  return text === undefined ? {} : { platform: parsePlatform(text) };
}

interface BootstrapBody {
  readonly name: string;
  readonly include?: string[];
  readonly as?: string;
  readonly command?: string[];
  readonly entrypoint?: string[];
  readonly env?: Record<string, string>;
  readonly user?: string;
  readonly workdir?: string;
}

export const imageRoutes: Readonly<Record<string, Handler>> = {
  'image.list': (call) => listObjects(call, 'Image'),
  'image.get': async (call) => findImage(services(call), call.project, call.query['reference'] as string),
  async 'image.tag'(call) {
    const { reference, newReference } = call.body as { reference: string; newReference: string };
    return tagImage(services(call), call.caller, call.project, reference, newReference);
  },
  'image.delete': async (call) => deleteImage(services(call), call.caller, call.project, call.query['reference'] as string, call.query['force'] === true),
  async 'image.bootstrap'(call) {
    const { name, include, as, command, entrypoint, env, user, workdir } = call.body as BootstrapBody;
    const config = {
      ...(command === undefined ? {} : { command }), ...(entrypoint === undefined ? {} : { entrypoint }), ...(user === undefined ? {} : { user }), ...(workdir === undefined ? {} : { workdir }),
      ...(env === undefined ? {} : { env: Object.entries(env).map(([key, value]) => `${key}=${value}`) }),
    };
    return answerOperation(call, await bootstrapImage(services(call), call.caller, call.project, { name, include: include ?? [], config }, as));
  },
  async 'image.pull'(call) {
    const { reference, platform, credentials } = call.body as { reference: string; platform?: string; credentials?: CredentialsByRegistry };
    return answerOperation(call, await pullImage(services(call), call.caller, call.project, { reference, credentials, ...platformOf(platform), ...keyOf(call) }));
  },
  async 'image.push'(call) {
    const { reference, destination, credentials } = call.body as { reference: string; destination?: string; credentials?: CredentialsByRegistry };
    return answerOperation(call, await pushImage(services(call), call.caller, call.project, { reference, destination, credentials, ...keyOf(call) }));
  },
  async 'image.copy'(call) {
    const { source, destination, platform, credentials } = call.body as { source: string; destination: string; platform?: string; credentials?: CredentialsByRegistry };
    return answerOperation(call, await copyImage(services(call), call.caller, call.project, { source, destination, credentials, ...platformOf(platform), ...keyOf(call) }));
  },
  'image.prune': (call) => pruneImages(services(call), call.caller, call.project, (call.body as { all: boolean }).all),
  'image.usage': async (call) => ({ kind: 'ImageUsageList', revision: services(call).registry.revision, items: imageUsage(services(call), call.project === '-' ? undefined : call.project) }),
  async 'image.import'(call) {
    if (!(call.body instanceof Readable)) throw new BerthError('invalid', 'The body must be the archive, as application/octet-stream.');
    const format = call.query['disk'] as DiskFormat | undefined;
    const as = call.query['as'] as string | undefined;
    const body = bodyBytes(call.body);
    const images = format !== undefined ? [await importDisk(services(call), call.caller, call.project, body, { as, format }, leftBy(call))] : await importImage(services(call), call.caller, call.project, body, as, leftBy(call));
    return { images: images.map((image) => ({ reference: image.spec.references[0], references: image.spec.references, id: image.meta.name, digest: image.status.digest })) };
  },
  async 'image.export'(call) {
    const bytes = await exportImage(services(call), call.project, call.query['reference'] as string, call.query['format'] as ExportFormat | undefined, leftBy(call));
    return call.reply.header('content-type', 'application/octet-stream').send(Readable.from(bytes, { objectMode: false }));
  },
};
