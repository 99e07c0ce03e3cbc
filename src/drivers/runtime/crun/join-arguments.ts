import type { Form } from '../../../model/forms.ts';
import type { ObjectId } from '../../../model/ids.ts';
import type { CrunHost } from './crun-host.ts';
import { nullDevice, unifiedPath } from './root-mounts.ts';

/** Words for our native program that come before crun's verb: see native/join.c. `owner` is the container's root on the host. */
export function joinArguments(host: CrunHost, id: ObjectId, { owner, form, first }: { readonly owner: number; readonly form: Form; readonly first: boolean }): readonly string[] {
  const files = form === 'osContainer' ? host.groups.joinDelegated(id, first, unifiedPath(host.paths.scratch)) : host.groups.joinFiles(id);
  return [
    'join', `--crun=${host.crun}`, `--state=${host.paths.state}`, `--owner=${owner}`, `--null=${nullDevice(host.paths.scratch)}`,
    ...files.map((file) => `--group=${file}`),
  ];
}
