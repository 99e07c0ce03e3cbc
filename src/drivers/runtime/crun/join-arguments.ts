import type { ObjectId } from '../../../model/ids.ts';
import type { CrunHost } from './crun-host.ts';
import { nullDevice } from './root-mounts.ts';

/** Words for our native program that come before crun's verb: see native/join.c. `owner` is the container's root on the host. */
export function joinArguments(host: CrunHost, id: ObjectId, owner: number): readonly string[] {
  return [
    'join', `--crun=${host.crun}`, `--state=${host.paths.state}`, `--owner=${owner}`, `--null=${nullDevice(host.paths.scratch)}`,
    ...host.groups.joinFiles(id).map((file) => `--group=${file}`),
  ];
}
