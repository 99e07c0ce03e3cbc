/** Routes of registries and of the disk. */
import { checkLogin } from '../../control/image/login.ts';
import { pruneTemplates, warmTemplates } from '../../control/node/templates.ts';
import { diskUsage } from '../../control/node/disk-usage.ts';
import type { CredentialsByRegistry } from '../../model/registry-access.ts';
import type { Handler } from '../context.ts';
import { leftBy } from '../left-by.ts';

export const registryRoutes: Readonly<Record<string, Handler>> = {
  async 'registry.list'(call) {
    const { search, hosts } = call.edge.control.services.registries.settings;
    return { kind: 'RegistryList', search, items: Object.entries(hosts).map(([name, host]) => ({ name, mirrors: host.mirrors ?? [] })) };
  },
  async 'registry.login'(call) {
    const { registry, ...credentials } = call.body as CredentialsByRegistry[string] & { registry: string };
    return checkLogin(call.edge.control.services, call.caller, registry, credentials, leftBy(call));
  },
  'system.df': (call) => diskUsage(call.edge.control.services),
  'system.templates': async (call) => ({ kind: 'WarmTemplateList', revision: call.edge.control.services.registry.revision, items: warmTemplates(call.edge.control.services) }),
  'system.pruneTemplates': (call) => pruneTemplates(call.edge.control.services, call.caller, (call.body as { unusedForMs: number }).unusedForMs),
};
