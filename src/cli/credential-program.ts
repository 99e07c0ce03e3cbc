/**
 * Docker's credential helpers: programs `docker-credential-NAME` that keep passwords. What is secret goes over pipes, never
 * in arguments or the environment. https://github.com/docker/docker-credential-helpers
 */
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MAX_ANSWER_BYTES = 1024 * 1024;
const TIMEOUT_MS = 60_000;

export interface HelperAnswer {
  readonly username: string;
  readonly secret: string;
}

/** undefined when it has none for this server. */
export async function helperGet(helper: string, server: string): Promise<HelperAnswer | undefined> {
  const { code, output } = await call(helper, 'get', server);
  if (code !== 0) {
    if (/credentials not found/i.test(output)) return undefined;
    throw failed(helper, 'get', code);
  }
  try {
    const { Username, Secret } = JSON.parse(output) as { Username?: unknown; Secret?: unknown };
    if (typeof Username === 'string' && typeof Secret === 'string') return { username: Username, secret: Secret };
  } catch {
    // What it wrote may hold a secret: it is not quoted, nor kept as a cause.
  }
  throw new BerthError('invalid', `The credential helper docker-credential-${helper} answered something that is not understood.`);
}

export async function helperStore(helper: string, server: string, answer: HelperAnswer): Promise<void> {
  const { code } = await call(helper, 'store', JSON.stringify({ ServerURL: server, Username: answer.username, Secret: answer.secret }));
  if (code !== 0) throw failed(helper, 'store', code);
}

export async function helperErase(helper: string, server: string): Promise<boolean> {
  const { code, output } = await call(helper, 'erase', server);
  if (code !== 0 && !/credentials not found/i.test(output)) throw failed(helper, 'erase', code);
  return code === 0;
}

function failed(helper: string, what: string, code: number): BerthError {
  return new BerthError('unavailable', `The credential helper docker-credential-${helper} failed (${what}: ${code}).`, { hint: `Try it by hand: docker-credential-${helper} list` });
}

async function call(helper: string, action: 'get' | 'store' | 'erase', input: string): Promise<{ readonly code: number; readonly output: string }> {
  if (!NAME.test(helper)) throw new BerthError('invalid', `'${printable(helper)}' is no name of a credential helper.`, { hint: 'Look into credsStore and credHelpers of docker’s config.json.' });
  const { spawn } = await import('node:child_process');
  const child = spawn(`docker-credential-${helper}`, [action], { stdio: ['pipe', 'pipe', 'inherit'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) child.kill('SIGKILL');
    else chunks.push(chunk);
  });
  child.stdin.on('error', () => undefined); // it need not read what it is told
  child.stdin.end(input);
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => reject(new BerthError('unavailable', `The credential helper docker-credential-${helper} cannot be run: ${error.code === 'ENOENT' ? 'there is no such program' : (error.code ?? 'it failed')}.`, { hint: 'Install it, or take it out of docker’s config.json.' })));
    child.once('close', (status) => resolve(status ?? 255));
  });
  return { code, output: Buffer.concat(chunks).toString('utf8') };
}
