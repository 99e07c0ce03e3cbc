import { registryContract } from '../contract.ts';
import { FakeRegistryHost, fakeRegistries } from './fake-registry.ts';

const ACCOUNT = { username: 'tester', password: 'word' };

for (const withLogin of [false, true]) {
  registryContract({
    name: withLogin ? 'in memory, with a login' : 'in memory',
    async open() {
      const host = new FakeRegistryHost();
      if (withLogin) host.accounts.set('registry.example', new Map([[ACCOUNT.username, ACCOUNT.password]]));
      return { driver: fakeRegistries(host), registry: 'registry.example', credentials: withLogin ? ACCOUNT : undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
    },
  });
}
