import { networkContract } from '../contract.ts';
import type { NetworkDriver } from '../driver.ts';
import { fakeNetwork, FakeNetworkHost } from './fake-network.ts';

networkContract('fake', async () => {
  const host = new FakeNetworkHost();
  let driver: NetworkDriver = fakeNetwork(host);
  return {
    driver,
    async reopen() {
      await driver[Symbol.asyncDispose]();
      driver = fakeNetwork(host);
      return driver;
    },
    occupy: () => Promise.resolve(),
    async eventually(condition) {
      if (!(await condition())) throw new Error('a fake needs no moment');
    },
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
});
