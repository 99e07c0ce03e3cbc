/** registry.login: do these credentials open that registry? Whoever asks keeps them; here they are forgotten. */
import type { RegistryCredentials } from '../../drivers/registry/driver.ts';
import type { Caller, Services } from '../services.ts';

export async function checkLogin(services: Services, caller: Caller, registry: string, credentials: RegistryCredentials, signal: AbortSignal): Promise<{ readonly registry: string; readonly identityToken?: string | undefined }> {
  const target = { kind: 'Registry', project: '', name: registry, id: '' };
  const { identityToken } = await services.journal.records.audited(caller, 'registry.login', target, credentials.username === undefined ? undefined : { username: credentials.username }, () => services.registries.checkLogin(registry, credentials, signal));
  return { registry, ...(identityToken === undefined ? {} : { identityToken }) };
}
