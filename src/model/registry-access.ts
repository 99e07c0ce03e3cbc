/** What a caller hands over so that the daemon may ask registries in his name: for one operation, and kept nowhere. */
import * as z from 'zod';
import { isRegistryName } from './reference.ts';
import { dataText, plainText } from './text.ts';

const MAX_TOKEN = 64 * 1024;

export const registryName = plainText(255).refine(isRegistryName, 'not a host name with an optional port');

/** One entry of `~/.docker/config.json`, or what a credential helper said. */
export const registryCredentials = z.strictObject({
  username: dataText(1024).optional(),
  password: dataText(MAX_TOKEN).optional(),
  /** An OAuth2 refresh token. */
  identityToken: dataText(MAX_TOKEN).optional(),
  /** A bearer token as it stands. */
  registryToken: dataText(MAX_TOKEN).optional(),
});

/** By registry, as it stands in references. */
export const credentialsByRegistry = z.record(registryName, registryCredentials).refine((all) => Object.keys(all).length <= 32, 'more than 32 registries');

export type CredentialsByRegistry = z.infer<typeof credentialsByRegistry>;
