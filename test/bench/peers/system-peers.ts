/** Others who boot the same root as an OS container, each as its manual says. What is not installed is not measured. */
import { there } from './peer-place.ts';

export interface SystemPeer {
  readonly name: string;
  /** Has it a network of its own, as ours has? */
  readonly hasNetwork: boolean;
  /** Throws where it is not installed. */
  version(): Promise<string>;
  /** Makes what it starts from of a tar of the root. */
  prepare(archive: string): Promise<void>;
  /** May return before the system is up. */
  start(name: string): Promise<void>;
  /** undefined: its first process is told to power off. */
  readonly stop?: (name: string) => Promise<void>;
  readonly exec?: (name: string) => Promise<void>;
  remove(name: string): Promise<void>;
  /** Takes the image away. */
  clear(): Promise<void>;
}

const ROOT = '/srv/berth-bench-root';
const firstLine = (text: string): string => text.trim().split('\n')[0]!;

async function unpackRoot(archive: string): Promise<void> {
  await there(['mkdir', '-p', ROOT]);
  await there(['tar', '-x', '--numeric-owner', '-C', ROOT, '-f', '-'], archive);
}

const nspawn: SystemPeer = {
  name: 'systemd-nspawn', hasNetwork: false,
  version: async () => firstLine(await there(['systemd-nspawn', '--version'])),
  prepare: unpackRoot,
  start: async (name) => {
    await there(['sh', '-c', 'setsid systemd-nspawn -q --register=no --keep-unit --private-network --console=pipe --volatile=overlay -D "$1" -M "$2" -b >/dev/null 2>&1 </dev/null &', 'sh', ROOT, name]);
  },
  remove: async () => undefined,
  clear: async () => { await there(['rm', '-rf', '--one-file-system', ROOT]); },
};

const podman: SystemPeer = {
  name: 'podman', hasNetwork: true,
  version: async () => firstLine(await there(['podman', '--version'])),
  prepare: unpackRoot,
  start: async (name) => { await there(['podman', 'run', '-d', '--name', name, '--hostname', name, '--systemd=always', '--rootfs', `${ROOT}:O`, '/sbin/init']); },
  stop: async (name) => { await there(['podman', 'stop', '-t', '20', name]); },
  exec: async (name) => { await there(['podman', 'exec', name, 'true']); },
  remove: async (name) => { await there(['podman', 'rm', '-f', '-t', '0', name]); },
  clear: async () => { await there(['rm', '-rf', '--one-file-system', ROOT]); },
};

/** Incus and LXD have one command line. A profile `net` with an interface is used where there is one. */
function incusLike(command: 'incus' | 'lxc'): SystemPeer {
  let profiles: readonly string[] = [];
  return {
    name: command === 'incus' ? 'Incus' : 'LXD', hasNetwork: true,
    version: async () => `${command} ${firstLine(await there([command, 'query', '/1.0'])) === '' ? '' : firstLine(await there([command, '--version']))}`,
    async prepare(archive) {
      await there(['sh', '-c', 'mkdir -p "$1" && cat > "$1/root.tar" && cd "$1" && printf \'architecture: x86_64\\ncreation_date: 1700000000\\nproperties: {description: bench}\\n\' > metadata.yaml && tar -cf meta.tar metadata.yaml', 'sh', ROOT], archive);
      await there([command, 'image', 'import', `${ROOT}/meta.tar`, `${ROOT}/root.tar`, '--alias', 'berth-bench']);
      const has = await there([command, 'profile', 'show', 'net']).then(() => true, () => false);
      profiles = has ? ['-p', 'default', '-p', 'net'] : [];
    },
    start: async (name) => { await there([command, 'launch', '-q', 'berth-bench', name, ...profiles]); },
    stop: async (name) => { await there([command, 'stop', name]); },
    exec: async (name) => { await there([command, 'exec', name, '--', 'true']); },
    remove: async (name) => { await there([command, 'delete', '-f', name]); },
    async clear() {
      await there([command, 'image', 'delete', 'berth-bench']);
      await there(['rm', '-rf', '--one-file-system', ROOT]);
    },
  };
}

export const SYSTEM_PEERS: readonly SystemPeer[] = [nspawn, podman, incusLike('incus'), incusLike('lxc')];
