/** Reads and follows logs in conmon's k8s-file format: `TIME STREAM P|F TEXT`, P for a line that goes on in the next one. */
import fs from 'node:fs';
import { createInterface } from 'node:readline';

export interface LogLine {
  /** RFC 3339 with nanoseconds, as the monitor wrote it. */
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  /** With its newline, unless the line was cut. */
  readonly text: string;
}

export interface LogRequest {
  /** Oldest first; asked again while following, for a rotation may come in between. */
  readonly files: () => Promise<readonly string[]>;
  /** Only the last N lines of what is there. */
  readonly tail?: number | undefined;
  /** Only lines at or after this moment. */
  readonly sinceMs?: number | undefined;
  /** Goes on until the signal aborts, or `ended` says so and everything was read. */
  readonly follow: boolean;
  readonly ended: () => boolean;
  readonly signal: AbortSignal;
}

const LINE = /^(\S{20,40}) (stdout|stderr) ([PF]) ?(.*)$/s;
const POLL_MS = 100;
const MAX_TAIL = 100_000;

export function parseLogLine(line: string): LogLine | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  return { time: match[1]!, stream: match[2] as LogLine['stream'], text: match[3] === 'F' ? `${match[4]!}\n` : match[4]! };
}

export async function* readLog(request: LogRequest): AsyncGenerator<LogLine> {
  let files = await request.files();
  const current = files.at(-1);
  let position: { readonly inode: number; readonly offset: number } | undefined;
  const kept: LogLine[] = [];
  for (const file of files) {
    const handle = await open(file);
    if (handle === undefined) continue;
    const { ino } = await handle.stat();
    let bytes = 0;
    for await (const line of lines(handle, 0)) {
      bytes += line.bytes;
      const parsed = keepLine(line.text, request);
      if (parsed === undefined) continue;
      if (request.tail === undefined) yield parsed;
      else {
        kept.push(parsed);
        if (kept.length > Math.min(request.tail, MAX_TAIL) * 2 + 64) kept.splice(0, kept.length - Math.min(request.tail, MAX_TAIL));
      }
      if (request.signal.aborted) return;
    }
    if (file === current) position = { inode: ino, offset: bytes };
  }
  if (request.tail !== undefined && request.tail > 0) yield* kept.slice(-Math.min(request.tail, MAX_TAIL));
  while (request.follow && !request.signal.aborted) {
    const over = request.ended();
    let read = 0;
    files = await request.files();
    for (const file of unread(files, position?.inode)) {
      const handle = await open(file);
      if (handle === undefined) continue;
      const { ino, size } = await handle.stat();
      let offset: number = position?.inode === ino ? position.offset : 0;
      if (size < offset) offset = 0;
      for await (const line of lines(handle, offset)) {
        offset += line.bytes;
        read++;
        const parsed = keepLine(line.text, request);
        if (parsed !== undefined) yield parsed;
        if (request.signal.aborted) return;
      }
      position = { inode: ino, offset };
    }
    if (read === 0 && over) return;
    if (read === 0) await pause(request.signal);
  }
}

function keepLine(text: string, request: LogRequest): LogLine | undefined {
  const parsed = parseLogLine(text);
  if (parsed === undefined) return undefined;
  return request.sinceMs !== undefined && Date.parse(parsed.time) < request.sinceMs ? undefined : parsed;
}

/** From the file that was being read on; everything when it is gone. */
function unread(files: readonly string[], inode: number | undefined): readonly string[] {
  const index = inode === undefined ? -1 : files.findIndex((file) => fs.statSync(file, { throwIfNoEntry: false })?.ino === inode);
  return index < 0 ? files.slice(-1) : files.slice(index);
}

async function open(file: string): Promise<fs.promises.FileHandle | undefined> {
  return fs.promises.open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** Whole lines only: a half-written last line is left for the next time. */
async function* lines(handle: fs.promises.FileHandle, start: number): AsyncGenerator<{ readonly text: string; readonly bytes: number }> {
  const stream = handle.createReadStream({ start, encoding: 'utf8', autoClose: true });
  let last = '';
  stream.on('data', (chunk) => { last = String(chunk).slice(-1); });
  const reader = createInterface({ input: stream, crlfDelay: Infinity });
  let held: string | undefined;
  for await (const text of reader) {
    if (held !== undefined) yield { text: held, bytes: Buffer.byteLength(held) + 1 };
    held = text;
  }
  if (held !== undefined && last === '\n') yield { text: held, bytes: Buffer.byteLength(held) + 1 };
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, POLL_MS);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });
}
