/** The decision engine on a thread of its own, made for each estate and ended with it: it may take seconds and much memory, and must take neither from the daemon. */
import fs from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Adviser } from '../control/services.ts';
import type { AdviseRequest } from '../model/advise-request.ts';
import { BerthError, type ErrorBody } from '../model/errors.ts';

export type AdviserAnswer = { readonly contentType: string; readonly text: string } | { readonly error: ErrorBody };

const THREAD_FILE = 'src/daemon/adviser-thread.ts';

/** A thread begins with a file of its own, so it runs from the sources; they lie above every bundle, in a checkout and in an installed copy. */
function threadFile(): string {
  for (let dir = import.meta.dirname; ; dir = path.dirname(dir)) {
    const file = path.join(dir, THREAD_FILE);
    if (fs.existsSync(file)) return file;
    if (dir === path.dirname(dir)) throw new BerthError('unavailable', 'The engine’s own files are not there.', { hint: 'Install Berth again: sudo ./berth up.' });
  }
}

const TIMEOUT_MS = 60_000;
const MAX_WAITING = 8;
const MAX_HEAP_MEGABYTES = 512;

export function openAdviser(): Adviser & AsyncDisposable {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  const threads = new Set<Worker>();
  return {
    async advise(request) {
      if (waiting >= MAX_WAITING) throw new BerthError('busy', 'Too many estates wait for advice already.', { hint: 'Try again in a minute, or run `berth advise` without a daemon.' });
      waiting++;
      const turn = last.then(() => oneThread(request, threads)).finally(() => { waiting--; });
      last = turn.catch(() => undefined);
      return turn;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...threads].map((thread) => thread.terminate()));
    },
  };
}

async function oneThread(request: AdviseRequest, threads: Set<Worker>): Promise<{ readonly contentType: string; readonly text: string }> {
  const thread = new Worker(threadFile(), { workerData: request, resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MEGABYTES }, env: {}, stdin: false });
  threads.add(thread);
  let timer: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<AdviserAnswer>((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', (error) => reject((error as { code?: string }).code === 'ERR_WORKER_OUT_OF_MEMORY' ? new BerthError('exhausted', 'The estate is too large for the memory that advice may take here.', { hint: 'Split it, or run `berth advise` without a daemon.' }) : error));
      thread.once('exit', () => reject(new BerthError('unavailable', 'The engine ended before it answered.')));
      timer = setTimeout(() => reject(new BerthError('timeout', `The engine took longer than ${TIMEOUT_MS / 1000} s.`, { hint: 'Split the estate, or run `berth advise` without a daemon.' })), TIMEOUT_MS);
    });
    if ('error' in answer) throw new BerthError(answer.error.code, answer.error.message, { hint: answer.error.hint, fields: answer.error.fields, details: answer.error.details });
    return answer;
  } finally {
    clearTimeout(timer);
    threads.delete(thread);
    await thread.terminate();
  }
}
