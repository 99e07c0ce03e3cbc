import { A, B, networkContract } from '../../src/drivers/network/contract.ts';
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';
import { NetworkLab } from '../lib/network-lab.ts';
import { until } from '../lib/until.ts';

enterOwnNamespaces();

networkContract('bridge', async () => {
  const lab = await NetworkLab.open();
  return {
    driver: lab.driver,
    async reopen() {
      await lab.restart();
      return lab.driver;
    },
    async occupy(sandbox) {
      const child = lab.start(sandbox, ['sh', '-c', 'echo in; exec sleep 1000']);
      await new Promise((resolve) => child.stdout!.once('data', resolve));
    },
    eventually: (condition) => until(condition).then(() => undefined),
    async [Symbol.asyncDispose]() {
      for (const id of [A, B]) await lab.driver.removeNetwork(id);
      await lab[Symbol.asyncDispose]();
    },
  };
});
