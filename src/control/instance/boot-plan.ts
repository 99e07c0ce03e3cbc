/** What is made of an OS instance at its first boot: its user data, resolved. */
import type { BootFile, BootPlan, BootUser } from '../../drivers/runtime/driver.ts';
import { BerthError } from '../../model/errors.ts';
import { imageType, type Image } from '../../model/image.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { InstanceSpec } from '../../model/instance.ts';
import type { UserData } from '../../model/user-data.ts';
import type { Services } from '../services.ts';

/** An instance is one record of the store, beside which others are written in one go. */
const MAX_USER_DATA_BYTES = 256 * 1024;
/** A short script of Python. */
const MAX_CLOUD_INIT_BYTES = 256 * 1024;

/** Looked for in the image only where it matters. */
export async function hasCloudInit(services: Services, spec: InstanceSpec, image: Image): Promise<boolean> {
  if (spec.userData === undefined && spec.cloudInit === undefined) return false;
  // Nobody looks into a disk: it is offered, and read by who knows it.
  if (imageType(image) !== 'oci') return true;
  const layers = image.status.layers.map((layer) => services.content.layerPath(layer.diffId));
  return (await services.unpacker.readFile(layers, '/usr/bin/cloud-init', MAX_CLOUD_INIT_BYTES)) !== undefined;
}

/** @throws unsupported when the image cannot do what is asked, invalid when two fields contradict each other. */
export function assertUserData(spec: InstanceSpec, cloudInit: boolean): void {
  if (spec.userData !== undefined && spec.cloudInit !== undefined) throw new BerthError('invalid', 'There is both userData and cloudInit: give one of them.', { fields: [{ path: 'spec.cloudInit', message: 'conflicts with userData' }] });
  if (Buffer.byteLength(JSON.stringify([spec.userData, spec.cloudInit])) > MAX_USER_DATA_BYTES) throw new BerthError('invalid', `User data may have ${MAX_USER_DATA_BYTES / 1024} KiB in all.`, { hint: 'Put large files into the image or a volume.', fields: [{ path: spec.userData === undefined ? 'spec.cloudInit' : 'spec.userData', message: 'too large' }] });
  if (spec.cloudInit !== undefined && !cloudInit) throw new BerthError('unsupported', 'The image has no cloud-init that could read this user data.', { hint: 'users, ssh_authorized_keys, hostname, write_files and runcmd alone are applied by Berth itself; or use an image with cloud-init.', fields: [{ path: 'spec.cloudInit', message: 'the image has no /usr/bin/cloud-init' }] });
}

/** For an image's own cloud-init (NoCloud). JSON is YAML. */
export function cloudSeed({ spec, meta }: Pick<Instance, 'spec' | 'meta'>, hostname: string): NonNullable<BootPlan['cloud']> {
  const userData = spec.cloudInit ?? `#cloud-config\n${JSON.stringify(spec.userData ?? {})}\n`;
  return { userData, metaData: `${JSON.stringify({ 'instance-id': meta.id, 'local-hostname': hostname })}\n` };
}

export function bootPlan({ spec, meta }: Instance, hostname: string, cloudInit: boolean): BootPlan {
  const data = spec.userData;
  if (cloudInit) return { users: [], files: [], commands: [], cloud: cloudSeed({ spec, meta }, hostname) };
  return {
    users: usersOf(data ?? {}),
    files: (data?.write_files ?? []).map(fileOf),
    commands: (data?.runcmd ?? []).map((command) => (typeof command === 'string' ? ['/bin/sh', '-c', command] : command)),
  };
}

type WantedUser = NonNullable<UserData['users']>[number];

function usersOf({ users = [], ssh_authorized_keys: keys = [] }: UserData): BootUser[] {
  const made = users.map((user, index) => userOf(user, index === 0 ? keys : []));
  return keys.length > 0 && users.length === 0 ? [userOf({ name: 'root' }, keys)] : made;
}

function userOf(user: WantedUser, more: readonly string[]): BootUser {
  const { sudo } = user;
  return {
    name: user.name, ...(user.uid === undefined ? {} : { uid: user.uid }), gecos: user.gecos ?? '', home: user.homedir ?? '', shell: user.shell ?? '',
    passwordHash: user.lock_passwd === false ? (user.passwd ?? '') : '',
    groups: [user.groups ?? []].flat().flatMap((text) => text.split(',')).map((name) => name.trim()).filter((name) => name !== ''),
    sudo: typeof sudo === 'string' ? [sudo] : Array.isArray(sudo) ? sudo : [],
    keys: [...(user.ssh_authorized_keys ?? []), ...more],
  };
}

function fileOf(file: NonNullable<UserData['write_files']>[number]): BootFile {
  const [owner = 'root', group = owner] = (file.owner ?? 'root:root').split(':');
  const content = file.content ?? '';
  const plain = file.encoding === undefined || file.encoding === 'text/plain';
  return {
    path: file.path, mode: Number.parseInt((file.permissions ?? '0644').replace('o', ''), 8), owner, group, append: file.append ?? false,
    content: plain ? Buffer.from(content, 'utf8') : Buffer.from(content, 'base64'),
  };
}

/** The wish, its user data, its name. */
export function hostnameOf({ spec, meta }: Instance): string {
  return spec.hostname ?? spec.userData?.hostname ?? meta.name;
}
