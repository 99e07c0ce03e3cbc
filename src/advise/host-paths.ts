/** What a directory of the host means to the one who may see or write it. */

/** Whoever may write these is root on the host, in a container or not. */
const ROOT_EQUIVALENT = ['/', '/bin', '/boot', '/dev', '/etc', '/home', '/lib', '/lib64', '/opt', '/proc', '/root', '/run', '/sbin', '/sys', '/usr', '/var', '/var/lib', '/var/run'];
const BELOW_ROOT_EQUIVALENT = ['/boot/', '/dev/', '/proc/', '/sys/', '/root/', '/etc/cron', '/etc/systemd', '/usr/bin', '/usr/sbin', '/usr/lib/systemd', '/lib/modules', '/var/lib/docker', '/var/lib/kubelet', '/var/lib/containerd', '/var/lib/berth'];
/** A socket of an engine: read-only makes no difference. */
const ENGINE_SOCKET = /\/(docker|containerd|crio|podman|berth|libvirt-sock|incus|lxd|unix)(\.sock|\.socket)?$/;
/** Seen read-only, they are the host's own state: a monitor or a log collector wants them. */
const HOST_VIEW = ['/', '/proc', '/sys', '/var/log', '/run/log', '/run/udev', '/lib/modules', '/var/lib/docker/containers', '/var/log/pods', '/dev', '/etc/machine-id', '/run/systemd'];

export interface HostPath {
  readonly path: string;
  readonly readOnly?: boolean | undefined;
}

export type PathMeaning = 'root' | 'view' | 'data';

/** `readOnly` unknown counts as writable: that is what tools do when nothing is said. */
export function meaningOfPath({ path, readOnly }: HostPath): PathMeaning {
  const clean = path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
  if (ENGINE_SOCKET.test(clean) && /^\/(var\/)?run\//.test(clean)) return 'root';
  if (HOST_VIEW.includes(clean) && readOnly === true) return 'view';
  const rootLike = ROOT_EQUIVALENT.includes(clean) || BELOW_ROOT_EQUIVALENT.some((start) => `${clean}/`.startsWith(start));
  if (rootLike && readOnly !== true) return 'root';
  if (rootLike) return clean.startsWith('/proc') || clean.startsWith('/sys') || clean.startsWith('/dev') ? 'view' : 'data';
  return HOST_VIEW.includes(clean) ? 'view' : 'data';
}
