/**
 * `image bootstrap debian:…`: the distribution's own tool makes the root file system in namespaces of its own
 * (mmdebstrap, unshare mode) and writes it as a tar. Nothing of the host gets in but the address of its mirror.
 */
import { programOutput } from '../../../host/program-output.ts';
import { run } from '../../../host/run.ts';
import { BerthError } from '../../../model/errors.ts';
import { printable } from '../../../model/ids.ts';
import type { ImageConfig } from '../../../model/image.ts';
import { aptMirror, type AptMirror } from './apt-mirror.ts';

export const DEBIAN_SUITES = ['bookworm', 'trixie'] as const;
export type DebianSuite = (typeof DEBIAN_SUITES)[number];

const PACKAGE = /^[a-z0-9][a-z0-9+.-]+$/;
const MAX_PACKAGES = 200;
const MAX_NAME_LENGTH = 100;
const TIMEOUT_MS = 1_800_000;
const PROXY = /^https?:\/\/[A-Za-z0-9._~:/@%-]{1,500}$/;

/**
 * Ours, constant: mmdebstrap hands hooks to a shell. Identity of the building host and of the build goes; the time zone
 * and host name files that mmdebstrap copies from outside too.
 */
const CLEAN = [
  'rm -f "$1/etc/hostname" "$1/etc/resolv.conf" "$1/var/lib/dbus/machine-id" "$1/var/lib/systemd/random-seed"',
  'rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub',
  'rm -rf "$1"/var/log/apt "$1"/var/log/*.log "$1"/var/log/journal/* "$1/var/cache/ldconfig/aux-cache" "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old',
  ': >"$1/etc/machine-id"',
].join('; ');

/** `include` are names of packages, checked here: they become arguments of apt. */
export function checkPackages(include: readonly string[]): readonly string[] {
  if (include.length > MAX_PACKAGES) throw new BerthError('invalid', `At most ${MAX_PACKAGES} packages can be included.`);
  for (const name of include) {
    if (name.length > MAX_NAME_LENGTH || !PACKAGE.test(name)) throw new BerthError('invalid', `'${printable(name)}' is not the name of a Debian package.`, { hint: 'Names have lower-case letters, digits, plus, minus and dots.', fields: [{ path: 'include', message: 'not a package name' }] });
  }
  return [...new Set(include)];
}

/** Packages that bring /sbin/init, and the signal by which it powers off; others are asked by a command. */
const INIT_PACKAGES: Readonly<Record<string, string | undefined>> = { 'systemd-sysv': 'SIGRTMIN+3', 'sysvinit-core': undefined, 'runit-init': undefined };

/** With an init among its packages it is a system; as a command, so that `berth run IMAGE bash` is still a shell. */
export function debianConfig(include: readonly string[]): Pick<ImageConfig, 'command' | 'stopSignal'> {
  const init = include.find((name) => Object.hasOwn(INIT_PACKAGES, name));
  if (init === undefined) return { command: ['bash'] };
  const stopSignal = INIT_PACKAGES[init];
  return { command: ['/sbin/init'], ...(stopSignal === undefined ? {} : { stopSignal }) };
}

export interface DebianOptions {
  readonly include: readonly string[];
  /** A directory that every user may enter; what is left in it after a crash can be removed. */
  readonly temporaryDir: string;
  readonly signal?: AbortSignal | undefined;
  readonly onLine?: ((line: string) => void) | undefined;
}

/** Frozen data: what is run. */
export function debianCommand(suite: DebianSuite, include: readonly string[], mirror: AptMirror, proxies: readonly string[] = []): readonly string[] {
  return [
    '--mode=unshare', '--variant=minbase', '--format=tar', `--customize-hook=${CLEAN}`,
    '--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"', ...proxies.map((proxy) => `--aptopt=${proxy}`),
    ...(include.length === 0 ? [] : [`--include=${include.join(',')}`]),
    suite, '-',
    `deb ${mirror.archive} ${suite} main`, `deb ${mirror.archive} ${suite}-updates main`, `deb ${mirror.security} ${suite}-security main`,
  ];
}

/** The root file system as a tar; minutes, most of them downloads. */
export async function* debianLayer(suite: DebianSuite, options: DebianOptions): AsyncGenerator<Uint8Array> {
  const include = checkPackages(options.include);
  const args = debianCommand(suite, include, await aptMirror(), await hostProxies());
  try {
    yield* programOutput('/usr/bin/mmdebstrap', args, { timeoutMs: TIMEOUT_MS, env: { TMPDIR: options.temporaryDir }, signal: options.signal, onLine: options.onLine });
  } catch (error) {
    if (!(error instanceof BerthError) || error.code !== 'unavailable' || error.hint !== undefined) throw error;
    throw new BerthError('unavailable', error.message, { hint: 'Is the mirror of /etc/apt reachable, and do all packages exist in that release?', cause: error });
  }
}

/** mmdebstrap has an apt of its own: the proxy of the host's is handed over. */
async function hostProxies(): Promise<readonly string[]> {
  const { stdout } = await run('/usr/bin/apt-config', ['dump', '--format', '%f=%v%n', 'Acquire::http::Proxy', 'Acquire::https::Proxy'], { allowFailure: true });
  return stdout.split('\n').flatMap((line) => {
    const match = /^(Acquire::https?::Proxy)=(.+)$/.exec(line);
    return match !== null && PROXY.test(match[2]!) ? [`${match[1]!} "${match[2]!}"`] : [];
  });
}
