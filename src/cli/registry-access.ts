/** Which credentials an operation on images needs: those of the registries that its references may lead to, and no others. */
import type { Client } from '../client/client.ts';
import { LOCAL_REGISTRY, parseReference } from '../model/reference.ts';
import type { CredentialsByRegistry } from '../model/registry-access.ts';
import type { Context } from './command.ts';
import { credentialsOf, hasCredentials, readDockerConfig } from './docker-config.ts';

export async function credentialsFor(context: Context, client: Client, references: readonly string[]): Promise<{ readonly credentials?: CredentialsByRegistry }> {
  const config = await readDockerConfig(context);
  if (!hasCredentials(config)) return {};
  if (config.open) await context.tell(`berth: ${config.file} can be read by others: chmod 600 ${config.file}`);
  const { search, items } = await client.call('registry.list');
  const named = references.flatMap((text) => {
    const { registry } = parseReference(text);
    return registry === undefined ? search : registry === LOCAL_REGISTRY ? [] : [registry];
  });
  const all = new Set(named.flatMap((registry) => [registry, ...(items.find((one) => one.name === registry)?.mirrors ?? [])]));
  const found: Record<string, CredentialsByRegistry[string]> = {};
  for (const registry of all) {
    const credentials = await credentialsOf(config, registry);
    if (credentials !== undefined) found[registry] = credentials;
  }
  return Object.keys(found).length === 0 ? {} : { credentials: found };
}
