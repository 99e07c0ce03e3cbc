/** The registry contract on Debian's docker-registry: plain loopback, TLS with an authority of its own, a password, and tokens. */
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { registryContract, type OpenRegistry } from '../../src/drivers/registry/contract.ts';
import type { RegistryCredentials, RegistryHostSettings } from '../../src/drivers/registry/driver.ts';
import { openOciRegistries } from '../../src/drivers/registry/oci/oci-registries.ts';
import { ACCOUNT, startDockerRegistry, type DockerRegistry } from '../lib/docker-registry.ts';
import { startTokenServer } from '../lib/token-server.ts';

const file = (name: string): string => fileURLToPath(new URL(`../fixtures/etcd-tls/${name}`, import.meta.url));
const tls = { certFile: file('server.crt'), keyFile: file('server.key') };
const ca = fs.readFileSync(file('ca.crt'), 'utf8');
const account = { username: ACCOUNT.username, password: ACCOUNT.password };

function opened(server: DockerRegistry, hosts: Readonly<Record<string, RegistryHostSettings>>, credentials: RegistryCredentials | undefined, ...more: readonly AsyncDisposable[]): OpenRegistry {
  const driver = openOciRegistries({ settings: { search: [], hosts } });
  return {
    driver, registry: server.host, credentials,
    async [Symbol.asyncDispose]() {
      for (const one of [driver, server, ...more]) await one[Symbol.asyncDispose]();
    },
  };
}

registryContract({
  name: 'plain loopback',
  async open() {
    return opened(await startDockerRegistry(), {}, undefined);
  },
});

registryContract({
  name: 'TLS with an authority of its own, and a password',
  async open() {
    const server = await startDockerRegistry({ tls, htpasswd: ACCOUNT.line });
    return opened(server, { [server.host]: { ca } }, account);
  },
});

for (const withIdentity of [false, true]) {
  registryContract({
    name: withIdentity ? 'identity tokens' : 'tokens',
    async open() {
      const tokens = await startTokenServer({ ...tls, issuer: 'test', service: 'registry', accounts: { [ACCOUNT.username]: ACCOUNT.password }, identityToken: 'refresh-me' });
      const server = await startDockerRegistry({ tls, token: { realm: tokens.realm, service: 'registry', issuer: 'test', certFile: tls.certFile } });
      return opened(server, { [server.host]: { ca, realms: [tokens.host] } }, account, tokens);
    },
  });
}
