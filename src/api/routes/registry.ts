/** Routes of registries and of the disk. */
import { checkLogin } from '../../control/image/login.ts';
import { diskUsage } from '../../control/node/disk-usage.ts';
import type { CredentialsByRegistry } from '../../model/registry-access.ts';
import type { Call, Handler } from '../context.ts';

function closed(call: Call): AbortSignal {
  const abort = new AbortController();
  call.reply.raw.on('close', () => { if (!call.reply.raw.writableEnded) abort.abort(); });
  return abort.signal;
}

export const registryRoutes: Readonly<Record<string, Handler>> = {
  async 'registry.list'(call) {
    const { search, hosts } = call.edge.control.services.registries.settings;
    return { kind: 'RegistryList', search, items: Object.entries(hosts).map(([name, host]) => ({ name, mirrors: host.mirrors ?? [] })) };
  },
  async 'registry.login'(call) {
    const { registry, ...credentials } = call.body as CredentialsByRegistry[string] & { registry: string };
    return checkLogin(call.edge.control.services, call.caller, registry, credentials, closed(call));
  },
  'system.df': (call) => diskUsage(call.edge.control.services),
};
