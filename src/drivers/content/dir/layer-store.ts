/**
 * Unpacked layers by diffID: `L/NAME/fs` with `L/NAME/layer.json`, NAME the first 12 hex digits (more where two begin
 * alike), because overlay options are bounded. layer.json is written last: a tree without one does not exist.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { exists, readBounded, syncDirectory, writeFileAtomic } from '../../../host/files.ts';
import { BerthError } from '../../../model/errors.ts';
import type { Compression, LayerReport, Unpacker } from '../../unpack/driver.ts';
import type { Digest } from '../driver.ts';
import { hexOf } from './blob-store.ts';

const REPORT = 'layer.json';
const MAX_REPORT_BYTES = 4 * 1024 * 1024;
const FIRST_DIGITS = 12;

export class LayerStore {
  readonly #dir: string;
  readonly #unpacker: Unpacker;
  readonly #layers = new Map<Digest, { readonly dir: string; readonly report: LayerReport }>();
  readonly #making = new Map<Digest, Promise<LayerReport>>();
  readonly #fresh = new Set<Digest>();

  constructor(dir: string, unpacker: Unpacker) {
    this.#dir = dir;
    this.#unpacker = unpacker;
  }

  /** Reads what is there; half-made and damaged layers go. */
  async open(): Promise<void> {
    await fs.mkdir(this.#dir, { recursive: true, mode: 0o711 });
    for (const name of await fs.readdir(this.#dir)) {
      const dir = path.join(this.#dir, name);
      const report = await readReport(dir);
      if (report === undefined || !hexOf(report.diffId).startsWith(name)) await fs.rm(dir, { recursive: true, force: true });
      else this.#layers.set(report.diffId, { dir, report });
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

  #found(diffId: Digest): { readonly dir: string; readonly report: LayerReport } {
    const layer = this.#layers.get(diffId);
    if (layer === undefined) throw new BerthError('unavailable', `Layer ${diffId} is not on this host.`, { hint: 'Bring the image in again.' });
    return layer;
  }

  ensure(blobFile: string, compression: Compression, diffId: Digest, signal?: AbortSignal): Promise<LayerReport> {
    this.#fresh.add(diffId);
    const there = this.#layers.get(diffId);
    if (there !== undefined) return Promise.resolve(there.report);
    const running = this.#making.get(diffId);
    if (running !== undefined) return running;
    const work = this.#make(blobFile, compression, diffId, signal).finally(() => this.#making.delete(diffId));
    this.#making.set(diffId, work);
    return work;
  }

  async #make(blobFile: string, compression: Compression, diffId: Digest, signal: AbortSignal | undefined): Promise<LayerReport> {
    const temporary = path.join(this.#dir, `.making-${randomUUID()}`);
    const tree = path.join(temporary, 'fs');
    try {
      await fs.mkdir(tree, { recursive: true, mode: 0o755 });
      await fs.chmod(temporary, 0o711);
      const report = await this.#unpacker.unpack({ file: blobFile, compression }, tree, undefined, signal);
      if (report.diffId !== diffId) throw new BerthError('invalid', `The layer's bytes have diffID ${report.diffId}, not ${diffId} as the image says.`);
      await writeFileAtomic(path.join(temporary, REPORT), JSON.stringify(report), 0o600);
      const dir = path.join(this.#dir, await this.#freeName(diffId));
      await fs.rename(temporary, dir);
      await syncDirectory(this.#dir);
      this.#layers.set(diffId, { dir, report });
      return report;
    } catch (error) {
      await fs.rm(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  async #freeName(diffId: Digest): Promise<string> {
    const hex = hexOf(diffId);
    for (let digits = FIRST_DIGITS; digits <= hex.length; digits += 4) {
      if (!(await exists(path.join(this.#dir, hex.slice(0, digits))))) return hex.slice(0, digits);
    }
    throw new BerthError('internal', `Layer ${diffId} is there and not known.`);
  }

  usage(): { readonly layers: number; readonly layerBytes: number } {
    let layerBytes = 0;
    for (const { report } of this.#layers.values()) layerBytes += report.fileBytes;
    return { layers: this.#layers.size, layerBytes };
  }

  async sweep(inUse: ReadonlySet<Digest>): Promise<number> {
    let freed = 0;
    for (const [diffId, { dir, report }] of [...this.#layers]) {
      if (inUse.has(diffId)) this.#fresh.delete(diffId);
      if (inUse.has(diffId) || this.#fresh.has(diffId)) continue;
      this.#layers.delete(diffId);
      freed += report.fileBytes;
      await fs.rm(path.join(dir, REPORT), { force: true });
      await fs.rm(dir, { recursive: true, force: true });
    }
    return freed;
  }

  settle(diffIds: Iterable<Digest>): void {
    for (const diffId of diffIds) this.#fresh.delete(diffId);
  }
}

async function readReport(dir: string): Promise<LayerReport | undefined> {
  try {
    const report = JSON.parse((await readBounded(path.join(dir, REPORT), MAX_REPORT_BYTES)).toString('utf8')) as LayerReport;
    hexOf(report.diffId);
    return (await fs.lstat(path.join(dir, 'fs'))).isDirectory() && Number.isSafeInteger(report.fileBytes) ? report : undefined;
  } catch {
    return undefined; // damaged or half-made: as good as absent, and made again when it is needed
  }
}
