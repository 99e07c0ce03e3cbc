import { storageContract, type StorageBench } from '../contract.ts';
import { fakeStorage, FakeStorageHost, type FakeDisk } from './fake-storage.ts';

storageContract('fake', async (): Promise<StorageBench> => {
  const host = new FakeStorageHost();
  const disks = (of: 'root' | 'volume'): Map<string, FakeDisk> => (of === 'root' ? host.roots : host.volumes);
  return {
    driver: fakeStorage(host),
    reopen: () => fakeStorage(host),
    async write(of, id, name, text) { disks(of).get(id)!.files.set(name, text); },
    read: (of, id, name) => Promise.resolve(disks(of).get(id)?.files.get(name)),
    mentions: (text) => Promise.resolve([...host.roots, ...host.volumes].filter(([id, disk]) => id.includes(text) || JSON.stringify([disk.specCopy, ...disk.files]).includes(text)).map(([id]) => id)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
});
