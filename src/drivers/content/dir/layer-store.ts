/**
 * Unpacked layers by diffID: `L/NAME/fs` with `L/NAME/layer.json`, NAME the first 12 hex digits (more where two begin
 * alike), because overlay options are bounded. A layer is made aside and renamed, so that a tree is there only whole.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { readBounded, syncDirectory, writeFileAtomic } from '../../../host/files.ts';
import { removeTree } from '../../../host/remove-tree.ts';
import { SharedWork } from '../../../lib/shared-work.ts';
import { Slots } from '../../../lib/slots.ts';
import { BerthError } from '../../../model/errors.ts';
import { DEFAULT_LAYER_LIMITS, type Compression, type LayerLimits, type LayerReport, type Unpacker } from '../../unpack/driver.ts';
import type { ContentInUse, ContentLease, Digest } from '../driver.ts';
import type { Arrivals } from './arrivals.ts';
import { hexOf } from './blob-store.ts';
import { CONTENT_GUARDS, type ContentGuards } from './content-guards.ts';

const REPORT = 'layer.json';
const MAX_REPORT_BYTES = 16 * 1024 * 1024;
const FIRST_DIGITS = 12;
const NAME = /^[0-9a-f]{12,64}$/;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

interface Layer {
  readonly dir: string;
  readonly report: LayerReport;
}

/** A blob that is still coming in: bytes as they arrive, and the promise that they are right. */
export interface ArrivingLayer {
  /** Who waits for the same bytes shares the work; a slow registry must not hold up what comes from another. */
  readonly key: string;
  read(): AsyncIterable<Uint8Array>;
  readonly verified: Promise<void>;
}

export class LayerStore {
  readonly #dir: string;
  readonly #unpacker: Unpacker;
  readonly #limits: LayerLimits;
  readonly #arrivals: Arrivals;
  readonly #isDiffId: ContentGuards['isDiffId'];
  readonly #layers = new Map<Digest, Layer>();
  /** Whose layer it will be, when nobody knows its diffID yet. */
  readonly #holders = new Map<string, Set<ContentLease>>();
  /** Two may have made the same layer. */
  readonly #placing = new Slots(1);
  readonly #making = new SharedWork<string, LayerReport>();

  constructor(dir: string, unpacker: Unpacker, arrivals: Arrivals, limits = DEFAULT_LAYER_LIMITS, guards: Pick<ContentGuards, 'isDiffId'> = CONTENT_GUARDS) {
    this.#isDiffId = guards.isDiffId;
    this.#dir = dir;
    this.#unpacker = unpacker;
    this.#arrivals = arrivals;
    this.#limits = limits;
  }

  /** Reads what is there. Half-made layers go; a damaged one is put aside, because an instance may be running on its tree. */
  async open(): Promise<void> {
    // Ids lie unshifted on the disk: a setuid program of an image would be one of the host, could any of its users reach it.
    await fs.mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await fs.chmod(this.#dir, 0o700);
    const boot = (await fs.readFile(BOOT_ID, 'latin1')).slice(0, 8);
    for (const name of await fs.readdir(this.#dir)) {
      const dir = path.join(this.#dir, name);
      if (name.startsWith(`.damaged-${boot}-`)) continue;
      const report = NAME.test(name) ? await readReport(dir) : undefined;
      if (report !== undefined && hexOf(report.diffId).startsWith(name)) this.#layers.set(report.diffId, { dir, report });
      else if (NAME.test(name)) await fs.rename(dir, path.join(this.#dir, `.damaged-${boot}-${randomUUID()}`));
      else await removeTree(dir);
    }
  }

  has(diffId: Digest): boolean {
    return this.#layers.has(diffId);
  }

  report(diffId: Digest): LayerReport {
    return this.#found(diffId).report;
  }

  pathOf(diffId: Digest): string {
    return path.join(this.#found(diffId).dir, 'fs');
  }

  #found(diffId: Digest): Layer {
    const layer = this.#layers.get(diffId);
    if (layer === undefined) throw new BerthError('unavailable', `Layer ${diffId} is not on this host.`, { hint: 'Bring the image in again.' });
    return layer;
  }

  /** `expected` undefined: whatever comes out is right, the caller learns its diffID (a root file system without an image). */
  async ensure(blob: string | ArrivingLayer, compression: Compression, expected: Digest | undefined, signal?: AbortSignal, lease?: ContentLease): Promise<LayerReport> {
    if (expected !== undefined) {
      hexOf(expected);
      this.#arrivals.add(expected);
      lease?.hold(expected);
      const there = this.#layers.get(expected);
      if (there !== undefined && (await isDirectory(path.join(there.dir, 'fs')))) return there.report;
      this.#layers.delete(expected);
    }
    const key = typeof blob === 'string' ? (expected ?? `file:${blob}`) : `${expected ?? ''} ${blob.key}`;
    const holders = this.#holders.get(key) ?? new Set();
    this.#holders.set(key, holders);
    if (lease !== undefined) holders.add(lease);
    return this.#making.do(key, (stop) => this.#make(blob, compression, expected, holders, stop).finally(() => this.#holders.delete(key)), signal).catch((error: unknown) => {
      throw signal?.aborted === true ? new BerthError('wrongState', 'Unpacking the layer was cancelled.', { cause: error }) : error;
    });
  }

  async #make(blob: string | ArrivingLayer, compression: Compression, expected: Digest | undefined, holders: ReadonlySet<ContentLease>, signal: AbortSignal): Promise<LayerReport> {
    const temporary = path.join(this.#dir, `.making-${randomUUID()}`);
    const tree = path.join(temporary, 'fs');
    try {
      await fs.mkdir(tree, { recursive: true, mode: 0o755 });
      await fs.chmod(tree, 0o755);
      await fs.chmod(temporary, 0o700);
      const report = await this.#unpacker.unpack(typeof blob === 'string' ? { file: blob, compression } : { stream: blob.read(), compression }, tree, this.#limits, signal);
      // What was unpacked while it came in is a layer only when the blob is the right one.
      if (typeof blob !== 'string') await blob.verified;
      if (expected !== undefined && !this.#isDiffId(report.diffId, expected)) throw new BerthError('invalid', `The layer's bytes have diffID ${report.diffId}, not ${expected} as the image says.`);
      this.#arrivals.add(report.diffId);
      for (const lease of holders) lease.hold(report.diffId);
      await writeFileAtomic(path.join(temporary, REPORT), JSON.stringify(report), 0o600);
      return await this.#placing.run(async () => {
        const there = this.#layers.get(report.diffId);
        if (there !== undefined) {
          await removeTree(temporary);
          return there.report;
        }
        this.#layers.set(report.diffId, { dir: await this.#place(temporary, report.diffId), report });
        await syncDirectory(this.#dir);
        return report;
      });
    } catch (error) {
      await removeTree(temporary);
      throw error;
    }
  }

  /** Renames to the shortest name that is free; rename(2) refuses one whose directory is not empty. */
  async #place(temporary: string, diffId: Digest): Promise<string> {
    const hex = hexOf(diffId);
    for (let digits = FIRST_DIGITS; digits <= hex.length; digits += 4) {
      const dir = path.join(this.#dir, hex.slice(0, digits));
      try {
        await fs.rename(temporary, dir);
        return dir;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      }
    }
    throw new BerthError('internal', `Layer ${diffId} is there and not known.`);
  }

  usage(inUse?: ContentInUse['diffIds']): { readonly layers: number; readonly layerBytes: number } {
    const counted = [...this.#layers].filter(([diffId]) => inUse === undefined || inUse.has(diffId));
    return { layers: counted.length, layerBytes: counted.reduce((sum, [, { report }]) => sum + report.fileBytes, 0) };
  }

  bytes(diffId: Digest): number | undefined {
    return this.#layers.get(diffId)?.report.fileBytes;
  }

  async sweep(inUse: ContentInUse['diffIds'], keeps: (diffId: Digest) => boolean): Promise<number> {
    let freed = 0;
    for (const [diffId, { dir, report }] of [...this.#layers]) {
      if (this.#layers.get(diffId)?.dir !== dir || inUse.has(diffId) || keeps(diffId)) continue;
      this.#layers.delete(diffId);
      this.#arrivals.settle([diffId]);
      freed += report.fileBytes;
      // Renamed first: what a crash leaves of it is then no layer.
      const going = path.join(this.#dir, `.going-${randomUUID()}`);
      await fs.rename(dir, going);
      await removeTree(going);
    }
    return freed;
  }
}

async function isDirectory(dir: string): Promise<boolean> {
  return fs.lstat(dir).then((stat) => stat.isDirectory(), () => false);
}

async function readReport(dir: string): Promise<LayerReport | undefined> {
  try {
    const report = JSON.parse((await readBounded(path.join(dir, REPORT), MAX_REPORT_BYTES)).toString('utf8')) as LayerReport;
    hexOf(report.diffId);
    const whole = [report.fileBytes, report.tarBytes, report.entries].every((one) => Number.isSafeInteger(one)) && Array.isArray(report.setuid) && Array.isArray(report.notes);
    return whole && (await isDirectory(path.join(dir, 'fs'))) ? report : undefined;
  } catch {
    return undefined; // damaged or half-made: as good as absent, and made again when it is needed
  }
}
