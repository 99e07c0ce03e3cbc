/** The bounds and the memory of a log, with conmon's part played here: it counts from 0 and, when full, renames a new file over `log`. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { monitorLogFiles, prepareMonitorLog, rotateMonitorLog, type LogBounds } from './monitor-log.ts';

const LINE_BYTES = 100;

class Monitor {
  readonly #dir: string;
  readonly #bounds: LogBounds;
  #leftBytes: number;
  #max: number;
  static lines = 0;

  constructor(dir: string, bounds: LogBounds) {
    const { logSizeMaxBytes } = prepareMonitorLog(dir, bounds);
    [this.#dir, this.#bounds, this.#leftBytes, this.#max] = [dir, bounds, logSizeMaxBytes, logSizeMaxBytes];
  }

  write(bytes: number, { watched }: { readonly watched: boolean }): void {
    for (let written = 0; written < bytes; written += LINE_BYTES) {
      if (this.#leftBytes < LINE_BYTES) {
        fs.writeFileSync(path.join(this.#dir, 'log.tmp'), '');
        fs.renameSync(path.join(this.#dir, 'log.tmp'), path.join(this.#dir, 'log'));
        this.#leftBytes = this.#max;
        if (watched) rotateMonitorLog(this.#dir, this.#bounds);
      }
      fs.appendFileSync(path.join(this.#dir, 'log'), `${`line ${Monitor.lines++} `.padEnd(LINE_BYTES - 1, '.')}\n`);
      this.#leftBytes -= LINE_BYTES;
    }
  }
}

const textOf = (dir: string): string => monitorLogFiles(dir).map((file) => fs.readFileSync(file, 'latin1')).join('');

for (const bounds of [{ maxBytes: 64 * 1024, maxFiles: 1 }, { maxBytes: 64 * 1024, maxFiles: 2 }, { maxBytes: 64 * 1024, maxFiles: 3 }, { maxBytes: 32 * 1024, maxFiles: 5 }]) {
  test(`${bounds.maxFiles} files of ${bounds.maxBytes}: a restart keeps what was said, no sum passes the bound, and the newest part is always there`, () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-log-'));
    const wholeBytes = bounds.maxBytes * bounds.maxFiles;
    try {
      for (let run = 0; run < 21; run++) {
        const before = textOf(dir);
        const monitor = new Monitor(dir, bounds);
        const after = textOf(dir);
        assert.ok(before.endsWith(after) && after.length >= Math.min(before.length, wholeBytes / 6), `run ${run}: ${after.length} bytes of ${before.length}`);
        monitor.write(wholeBytes * (run % 7) / 6, { watched: run % 3 !== 0 });
        const text = textOf(dir);
        assert.ok(text.length <= wholeBytes, `${text.length} bytes`);
        if (run % 3 === 0) continue;
        const numbers = [...text.matchAll(/^line (\d+)/gm)].map((match) => Number(match[1]));
        assert.equal(numbers.at(-1), Monitor.lines - 1);
      }
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });
}
