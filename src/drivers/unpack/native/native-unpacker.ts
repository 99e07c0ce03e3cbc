/** The unpacker: every byte of an image is read by a jailed job of the native program (native/unpack.c and its kin). */
import fs from 'node:fs/promises';
import { constants } from 'node:fs';
import path from 'node:path';
import { createHash, randomUUID } from 'node:crypto';
import type { Writable } from 'node:stream';
import { syncDirectory } from '../../../host/files.ts';
import { runNativeJob } from '../../../host/native-job.ts';
import { lastOccurrences } from '../../../lib/last-occurrences.ts';
import { BerthError } from '../../../model/errors.ts';
import { DEFAULT_LAYER_LIMITS, type LayerLimits, type LayerReport, type LayerSource, type Unpacker } from '../driver.ts';
import { listMerged, readMerged } from './read-merged.ts';

const PACK_TIMEOUT_MS = 3_600_000;
const IMAGE_TIMEOUT_MS = 1_800_000;
const MAX_LAYERS = 128;

export interface NativeUnpackerOptions {
  /** Tests hand in programs that were built without one of their guards. */
  readonly program?: string;
}

export function createNativeUnpacker(options: NativeUnpackerOptions = {}): Unpacker {
  const program = options.program;
  return {
    async unpack(source: LayerSource, targetDir: string, limits: LayerLimits = DEFAULT_LAYER_LIMITS, signal?: AbortSignal): Promise<LayerReport> {
      await using directory = await openDirectory(targetDir);
      await using file = 'file' in source ? await fs.open(source.file, constants.O_RDONLY | constants.O_NOFOLLOW) : undefined;
      // Two threads work at once, so that processor time may pass twice as fast as the clock.
      const cpuSeconds = Math.ceil(limits.deadlineMs / 500) + 1;
      return await runNativeJob({
        args: ['unpack', source.compression, ...[limits.maxBytes, limits.maxEntries, limits.maxRatio, cpuSeconds].map((number) => String(Math.floor(number)))],
        input: file ?? (source as { readonly stream: AsyncIterable<Uint8Array> }).stream, directory, timeoutMs: limits.deadlineMs, signal, program,
      }) as LayerReport;
    },

    async buildErofs(layers: readonly string[], targetFile: string, signal?: AbortSignal): Promise<{ readonly bytes: number }> {
      assertLayers(layers);
      return { bytes: await makeImage(['erofs', uuidOf(path.basename(targetFile)), String(IMAGE_TIMEOUT_MS / 1000), ...lastOccurrences(layers)], targetFile, { signal, program }) };
    },

    async buildExt4(layers: readonly string[], targetFile: string, sizeBytes: number, signal?: AbortSignal): Promise<void> {
      assertLayers(layers);
      await makeImage(['ext4', randomUUID(), String(IMAGE_TIMEOUT_MS / 1000), String(sizeBytes), ...lastOccurrences(layers)], targetFile, { signal, program });
    },

    async pack(dir: string, target: NodeJS.WritableStream, signal?: AbortSignal): Promise<{ readonly diffId: string; readonly bytes: number }> {
      await using directory = await openDirectory(dir);
      return await runNativeJob({ args: ['pack', String(PACK_TIMEOUT_MS / 1000)], directory, output: target as Writable, timeoutMs: PACK_TIMEOUT_MS, signal, program }) as { diffId: string; bytes: number };
    },

    async packMerged(layers: readonly string[], target: NodeJS.WritableStream, signal?: AbortSignal): Promise<{ readonly diffId: string; readonly bytes: number }> {
      assertLayers(layers);
      return await runNativeJob({ args: ['pack', String(PACK_TIMEOUT_MS / 1000), ...lastOccurrences(layers)], output: target as Writable, timeoutMs: PACK_TIMEOUT_MS, signal, program }) as { diffId: string; bytes: number };
    },

    async inflate(source: LayerSource, target: NodeJS.WritableStream, limits: LayerLimits = DEFAULT_LAYER_LIMITS, signal?: AbortSignal): Promise<{ readonly bytes: number }> {
      await using file = 'file' in source ? await fs.open(source.file, constants.O_RDONLY | constants.O_NOFOLLOW) : undefined;
      return await runNativeJob({
        args: ['inflate', source.compression, ...[limits.maxBytes, limits.maxRatio, Math.ceil(limits.deadlineMs / 500) + 1].map((number) => String(Math.floor(number)))],
        input: file ?? (source as { readonly stream: AsyncIterable<Uint8Array> }).stream, output: target as Writable, timeoutMs: limits.deadlineMs, signal, program,
      }) as { bytes: number };
    },

    readFile: readMerged,
    listDirectory: listMerged,
  };
}

/** Its size. Nothing is at the target until all of it is there, and synced. */
async function makeImage(args: readonly string[], targetFile: string, options: { readonly signal: AbortSignal | undefined; readonly program: string | undefined }): Promise<number> {
  const temporary = await fs.mkdtemp(`${targetFile}.tmp-`);
  try {
    await using directory = await openDirectory(temporary);
    await runNativeJob({ args, directory, timeoutMs: IMAGE_TIMEOUT_MS, ...options });
    const made = path.join(temporary, 'image');
    await using file = await fs.open(made, constants.O_RDONLY | constants.O_NOFOLLOW);
    await file.sync();
    const { size } = await file.stat();
    await fs.rename(made, targetFile);
    await syncDirectory(path.dirname(targetFile));
    return size;
  } finally {
    await fs.rm(temporary, { recursive: true, force: true });
  }
}

async function openDirectory(dir: string): Promise<fs.FileHandle> {
  return fs.open(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

function assertLayers(layers: readonly string[]): void {
  if (layers.length === 0 || layers.length > MAX_LAYERS) throw new BerthError('invalid', `An image has 1 to ${MAX_LAYERS} layers, not ${layers.length}.`);
}

/** The same content gets the same identity: 128 bits of the name's digest in the shape of a UUID. */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
