/**
 * `~/.docker/config.json`: where docker, podman and others keep who one is at registries. Read and written as they do, so
 * that one login serves all: `credHelpers` for a registry, else `credsStore`, else `auths`.
 */
import { BerthError } from '../model/errors.ts';
import { DEFAULT_REGISTRY } from '../model/reference.ts';
import type { CredentialsByRegistry } from '../model/registry-access.ts';
import type { Context } from './command.ts';
import { helperErase, helperGet, helperStore } from './credential-program.ts';

export type Credentials = CredentialsByRegistry[string];

const MAX_BYTES = 8 * 1024 * 1024;
/** Under which docker keeps the login of its own registry. */
const DEFAULT_SERVER = `https://index.${DEFAULT_REGISTRY}/v1/`;
/** In a helper's answer the user name of a token. */
const TOKEN_USER = '<token>';

interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

export interface DockerConfig {
  readonly file: string;
  /** Others than its owner may read it. */
  readonly open: boolean;
  readonly document: Readonly<Record<string, unknown>>;
}

/** Without a file: an empty one. */
export async function readDockerConfig({ env }: Pick<Context, 'env'>): Promise<DockerConfig> {
  const [fs, path] = await Promise.all([import('node:fs/promises'), import('node:path')]);
  const dir = env['DOCKER_CONFIG'] || (env['HOME'] === undefined ? undefined : path.join(env['HOME'], '.docker'));
  if (dir === undefined) return { file: '', open: false, document: {} };
  const file = path.join(dir, 'config.json');
  try {
    const stat = await fs.stat(file);
    if (!stat.isFile() || stat.size > MAX_BYTES) throw refuse(file, 'it is no regular file of a few megabytes');
    const document = parsed(file, await fs.readFile(file, 'utf8'));
    return { file: await fs.realpath(file), open: (stat.mode & 0o077) !== 0, document };
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return { file, open: false, document: {} };
    throw error instanceof BerthError ? error : refuse(file, 'it cannot be read');
  }
}

function parsed(file: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const document = JSON.parse(text) as unknown;
    if (isRecord(document)) return document;
  } catch {
    // A parser's message quotes what it read, and that may be a password.
  }
  throw refuse(file, 'it is no JSON object');
}

function refuse(file: string, why: string): BerthError {
  return new BerthError('invalid', `${file} cannot be used: ${why}.`, { hint: 'It is the file that `berth login` and `docker login` write.' });
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const record = (value: unknown): Readonly<Record<string, unknown>> => (isRecord(value) ? value : {});
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

export function hasCredentials({ document }: DockerConfig): boolean {
  return text(document['credsStore']) !== undefined || Object.keys(record(document['credHelpers'])).length > 0 || Object.keys(record(document['auths'])).length > 0;
}

function serverOf(registry: string): string {
  return registry === DEFAULT_REGISTRY ? DEFAULT_SERVER : registry;
}

/** Old entries are addresses: `https://HOST/v1/`. */
function registryOfEntry(key: string): string {
  const host = key.replace(/^https?:\/\//, '').split('/')[0]!;
  return host === `index.${DEFAULT_REGISTRY}` || host === `registry-1.${DEFAULT_REGISTRY}` ? DEFAULT_REGISTRY : host;
}

function helperOf({ document }: DockerConfig, registry: string): string | undefined {
  const helpers = record(document['credHelpers']);
  const key = Object.keys(helpers).find((one) => registryOfEntry(one) === registry);
  return text(key === undefined ? undefined : helpers[key]) ?? text(document['credsStore']);
}

function entriesOf({ document }: DockerConfig, registry: string): readonly (readonly [string, AuthEntry])[] {
  return Object.entries(record(document['auths'])).filter(([key, entry]) => registryOfEntry(key) === registry && isRecord(entry)).map(([key, entry]) => [key, entry as AuthEntry]);
}

export async function credentialsOf(config: DockerConfig, registry: string): Promise<Credentials | undefined> {
  const helper = helperOf(config, registry);
  if (helper !== undefined) {
    const answer = await helperGet(helper, serverOf(registry));
    if (answer !== undefined) return answer.username === TOKEN_USER ? { identityToken: answer.secret } : { username: answer.username, password: answer.secret };
  }
  // The exact name before an address that means the same.
  const entries = entriesOf(config, registry).toSorted(([first], [second]) => Number(second === registry) - Number(first === registry));
  for (const [, entry] of entries) {
    const found = credentialsOfEntry(entry);
    if (found !== undefined) return found;
  }
  return undefined;
}

function credentialsOfEntry(entry: AuthEntry): Credentials | undefined {
  const [, user, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(text(entry.auth) ?? '', 'base64').toString('utf8').replace(/\0+$/, '')) ?? [];
  const username = text(user) ?? text(entry.username);
  const password = text(secret) ?? text(entry.password);
  const identityToken = text(entry.identitytoken);
  const registryToken = text(entry.registrytoken);
  if (identityToken === undefined && registryToken === undefined && (username === undefined || password === undefined)) return undefined;
  return {
    ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }),
    ...(identityToken === undefined ? {} : { identityToken }), ...(registryToken === undefined ? {} : { registryToken }),
  };
}

/** Says where they were put, for people. */
export async function keepCredentials(config: DockerConfig, registry: string, credentials: Credentials): Promise<string> {
  const helper = helperOf(config, registry);
  const auths = { ...record(config.document['auths']) };
  for (const [key] of entriesOf(config, registry)) delete auths[key];
  const { username = '', password = '', identityToken } = credentials;
  if (helper === undefined) {
    auths[serverOf(registry)] = { auth: Buffer.from(`${username}:${identityToken === undefined ? password : ''}`).toString('base64'), ...(identityToken === undefined ? {} : { identitytoken: identityToken }) };
  } else {
    await helperStore(helper, serverOf(registry), identityToken === undefined ? { username, secret: password } : { username: TOKEN_USER, secret: identityToken });
    auths[serverOf(registry)] = {};
  }
  await write(config, auths);
  return helper === undefined ? config.file : `docker-credential-${helper}`;
}

/** Answers whether there were any. */
export async function forgetCredentials(config: DockerConfig, registry: string): Promise<boolean> {
  const helper = helperOf(config, registry);
  const erased = helper !== undefined && (await helperErase(helper, serverOf(registry)));
  const entries = entriesOf(config, registry);
  if (entries.length > 0) await write(config, Object.fromEntries(Object.entries(record(config.document['auths'])).filter(([key]) => entries.every(([gone]) => gone !== key))));
  return erased || entries.length > 0;
}

/** Whole or not at all, and never readable by others. */
async function write({ file, document }: DockerConfig, auths: Readonly<Record<string, unknown>>): Promise<void> {
  if (file === '') throw new BerthError('invalid', 'Nobody knows where to keep credentials: there is no HOME.', { hint: 'Set HOME or DOCKER_CONFIG.' });
  const [fs, path] = await Promise.all([import('node:fs/promises'), import('node:path')]);
  await fs.mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.berth-${process.pid}`;
  try {
    const handle = await fs.open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify({ ...document, auths }, undefined, '\t')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, file);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw new BerthError('invalid', `${file} cannot be written: ${(error as { code?: string }).code ?? 'it failed'}.`);
  }
}
