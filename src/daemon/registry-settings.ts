/**
 * What the admin of this node says about registries: a YAML file, `registries.yaml` in the daemon's root unless an option
 * names another. To name a host there is to trust its address, so that nobody but the admin may write it.
 */
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { DEFAULT_REGISTRY_SETTINGS, type RegistryHostSettings, type RegistrySettings } from '../drivers/registry/driver.ts';
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';
import { registryName } from '../model/registry-access.ts';

export const REGISTRIES_FILE = 'registries.yaml';

const MAX_FILE_BYTES = 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/;

const hostSettings = z.strictObject({
  /** Speak HTTP without TLS to it. */
  plainHttp: z.boolean().optional(),
  /** Certificates of authorities (PEM) that are trusted for it instead of the public ones: a file, or the text itself. */
  ca: z.string().min(1).max(MAX_FILE_BYTES).optional(),
  /** Asked before it, in this order. */
  mirrors: z.array(registryName).max(16).optional(),
  /** Token servers on another domain that may be given its users' passwords. */
  realms: z.array(registryName).max(16).optional(),
});

/** The file's own schema. */
export const registriesFile = z.strictObject({
  /** Registries that a short name is looked up in, in this order; docker.io when missing. */
  search: z.array(registryName).max(16).optional(),
  hosts: z.record(registryName, hostSettings).refine((hosts) => Object.keys(hosts).length <= 256, 'more than 256 hosts').optional(),
});

/** `required`: the file was named by a person, so that its absence is an error. */
export async function readRegistrySettings(file: string, required: boolean): Promise<RegistrySettings> {
  const text = await readOwned(file).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !required) return undefined;
    throw error instanceof BerthError ? error : refuse(file, (error as Error).message);
  });
  if (text === undefined) return DEFAULT_REGISTRY_SETTINGS;
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 0, uniqueKeys: true }) ?? {};
  } catch (error) {
    throw refuse(file, (error as Error).message.split('\n')[0]!);
  }
  const result = registriesFile.safeParse(document);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw refuse(file, `${issue.path.join('.') || 'the document'}: ${issue.code === 'unrecognized_keys' ? `there is no '${issue.keys.join("', '")}'` : issue.message}`);
  }
  const hosts: Record<string, RegistryHostSettings> = {};
  for (const [name, { ca, ...rest }] of Object.entries(result.data.hosts ?? {})) hosts[name] = { ...rest, ...(ca === undefined ? {} : { ca: await certificates(file, ca) }) };
  return { search: result.data.search ?? DEFAULT_REGISTRY_SETTINGS.search, hosts };
}

async function certificates(file: string, ca: string): Promise<string> {
  const text = ca.includes('-----BEGIN') ? ca : await fs.readFile(path.resolve(path.dirname(file), ca), 'utf8').catch((error: unknown) => { throw refuse(file, `its certificate ${printable(ca)} cannot be read: ${(error as Error).message}`); });
  if (!CERTIFICATE.test(text)) throw refuse(file, `${ca.includes('-----BEGIN') ? 'a `ca`' : printable(ca)} holds no certificate in PEM`);
  return text;
}

/** Who may write it decides whom the daemon talks to. */
async function readOwned(file: string): Promise<string> {
  await using handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const stat = await handle.stat();
  if (!stat.isFile() || stat.size > MAX_FILE_BYTES) throw refuse(file, 'it is no regular file of at most 1 MiB');
  if ((stat.mode & 0o022) !== 0 || (stat.uid !== 0 && stat.uid !== process.getuid?.())) throw refuse(file, 'others than its owner, or than root, may write it');
  return handle.readFile('utf8');
}

function refuse(file: string, why: string): BerthError {
  return new BerthError('invalid', `The settings of registries in ${file} were refused: ${printable(why)}.`, { hint: 'docs/guide/images.md shows what may stand there.' });
}
