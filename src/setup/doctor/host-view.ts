/** The real host, read only, every program bounded in time. */
import fs from 'node:fs';
import { run } from '../../host/run.ts';
import type { HostView } from './finding.ts';

const PROBE_TIMEOUT_MS = 15_000;

export function hostView(): HostView {
  return {
    isRoot: process.getuid?.() === 0,
    readText(file) {
      try {
        return fs.readFileSync(file, 'utf8');
      } catch {
        return undefined;
      }
    },
    list(dir) {
      try {
        return fs.readdirSync(dir).sort();
      } catch {
        return [];
      }
    },
    readLink(file) {
      try {
        return fs.readlinkSync(file);
      } catch {
        return undefined;
      }
    },
    exists: (file) => fs.existsSync(file),
    async run(file, args, input) {
      try {
        return await run(file, args, { allowFailure: true, timeoutMs: PROBE_TIMEOUT_MS, ...(input === undefined ? {} : { input }) });
      } catch {
        return undefined;
      }
    },
  };
}
