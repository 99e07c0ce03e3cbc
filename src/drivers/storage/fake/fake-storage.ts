/** A pool in memory: what a disk would keep lies in the host object, so that a second driver finds it again. */
import { BerthError } from '../../../model/errors.ts';
import { isVmForm, type Form } from '../../../model/forms.ts';
import { isObjectId, type ObjectId } from '../../../model/ids.ts';
import type { RootKind, RootPaths, RootRequest, StorageDriver, VolumeRequest } from '../driver.ts';

const POOL = '/fake/pool';
const GIB = 1024 ** 3;

export interface FakeDisk {
  readonly form?: Form | undefined;
  readonly type?: 'filesystem' | 'block' | undefined;
  readonly sizeBytes?: number | undefined;
  readonly disk?: RootRequest['disk'];
  readonly specCopy: string;
  /** Contents, by path below the disk. */
  readonly files: Map<string, string>;
}

export class FakeStorageHost {
  readonly roots = new Map<string, FakeDisk>();
  readonly volumes = new Map<string, FakeDisk>();
}

export function fakeStorage(host: FakeStorageHost): StorageDriver {
  function rootPaths(id: ObjectId, form: Form, kind: RootKind = 'layers'): RootPaths {
    if (kind === 'flat') return { upperDisk: `${POOL}/roots/${id}/root.img` };
    if (kind === 'disk') return { rootDisk: `${POOL}/roots/${id}/disk.raw` };
    return isVmForm(form) ? { upperDisk: `${POOL}/roots/${id}/upper.img` } : { upperDir: `${POOL}/roots/${id}` };
  }

  return {
    kind: 'fake',
    facts: () => Promise.resolve({ quota: false, reflink: false, totalBytes: 100 * GIB, freeBytes: 50 * GIB }),
    async createRoot(request: RootRequest) {
      if (!isVmForm(request.form) && request.sizeBytes !== undefined) return Promise.reject(new BerthError('unsupported', 'This pool has no quotas.', { fields: [{ path: 'spec.rootDiskBytes', message: 'this pool cannot enforce it' }] }));
      const found = host.roots.has(request.id);
      if (!found) host.roots.set(request.id, { form: request.form, sizeBytes: request.sizeBytes, specCopy: request.specCopy, disk: request.disk, files: new Map() });
      const paths = rootPaths(request.id, request.form, request.disk !== undefined ? 'disk' : request.flat !== undefined ? 'flat' : 'layers');
      if (!found) await request.flat?.(paths.upperDisk!, request.sizeBytes ?? 10 * GIB);
      return paths;
    },
    rootPaths,
    async removeRoot(id) { host.roots.delete(id); },
    rootUsage: (id) => Promise.resolve(usage(host.roots.get(id))),
    createVolume(request: VolumeRequest) {
      if (request.type === 'filesystem' && request.sizeBytes !== undefined) return Promise.reject(new BerthError('unsupported', 'This pool has no quotas.', { fields: [{ path: 'spec.sizeBytes', message: 'this pool cannot enforce it' }] }));
      if (!host.volumes.has(request.id)) host.volumes.set(request.id, { type: request.type, sizeBytes: request.sizeBytes, specCopy: request.specCopy, files: new Map() });
      return Promise.resolve();
    },
    async growVolume(request) {
      const volume = host.volumes.get(request.id)!;
      if (request.type === 'filesystem') throw new BerthError('unsupported', 'This pool has no quotas.', { fields: [{ path: 'spec.sizeBytes', message: 'this pool cannot enforce it' }] });
      if ((volume.sizeBytes ?? 0) > request.sizeBytes) throw new BerthError('invalid', 'A disk cannot be cut.');
      host.volumes.set(request.id, { ...volume, sizeBytes: request.sizeBytes, specCopy: request.specCopy });
    },
    volumePath: (id, type) => `${POOL}/volumes/${id}/${type === 'block' ? 'disk.img' : 'data'}`,
    async removeVolume(id) { host.volumes.delete(id); },
    volumeUsage: (id) => Promise.resolve(usage(host.volumes.get(id))),
    leftovers(known) {
      const unknown = (kind: string, disks: ReadonlyMap<string, FakeDisk>) => [...disks.keys()].filter((id) => !isObjectId(id) || !known.has(id)).map((id) => `${POOL}/${kind}/${id}`);
      return Promise.resolve([...unknown('roots', host.roots), ...unknown('volumes', host.volumes)]);
    },
  };
}

function usage(disk: FakeDisk | undefined): number {
  return [...(disk?.files.values() ?? [])].reduce((sum, text) => sum + text.length, 0);
}
