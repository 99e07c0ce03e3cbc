/**
 * A Debian with a boot loader and a kernel of its own, as a raw disk: GPT, a GRUB for BIOS and one for UEFI, ext4. Made on
 * the spot without a loop device or a mount, once, and kept in .build for the next run. On its console it says what it
 * found (firmware, seed, addresses) before its login prompt; port 80 answers, and its kernel dies for who asks for
 * /cgi-bin/panic; the power button works; root's password is `berth`.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from '../../src/host/run.ts';
import { debianArchive } from './debian-images.ts';

const CACHE = path.resolve(import.meta.dirname, '../../.build/test-images');
const SECTOR = 512, MIB = 1024 * 1024;
const SIZE = 768 * MIB;
/** In sectors. */
const BIOS_BOOT = { start: 2048, size: 2048 }, ESP = { start: 4096, size: 16_384 }, ROOT = { start: 20_480, size: SIZE / SECTOR - 20_480 - 34 };
const PACKAGES = ['linux-image-cloud-amd64', 'initramfs-tools', 'grub-pc-bin', 'grub-efi-amd64-bin', 'grub-common', 'busybox-static', 'isc-dhcp-client', 'iproute2', 'kmod'];
const LONG_MS = 300_000;

const FILES: readonly { readonly path: string; readonly text: string; readonly mode?: number }[] = [
  { path: 'etc/hostname', text: 'foreign\n' },
  {
    path: 'etc/inittab', text: ['::sysinit:/etc/boot', 'ttyS0::respawn:/sbin/agetty -L 115200 ttyS0 vt100', '::respawn:/bin/busybox acpid -f', '::shutdown:/bin/umount -a -r', ''].join('\n'),
  },
  { path: 'etc/acpi/PWRF/00000080', mode: 0o755, text: '#!/bin/sh\necho the power button was pressed >/dev/ttyS0\nbusybox poweroff\n' },
  { path: 'www/cgi-bin/panic', mode: 0o755, text: '#!/bin/sh\necho 1 >/proc/sys/kernel/sysrq\necho c >/proc/sysrq-trigger\n' },
  {
    path: 'etc/boot', mode: 0o755, text: `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -o remount,rw /
hostname foreign
exec >/dev/ttyS0 2>&1
modprobe -qa button evdev virtio_net e1000 isofs vfat pvpanic pvpanic-mmio virtio_balloon virtio_rng
if [ -d /sys/firmware/efi ]; then echo firmware: uefi; else echo firmware: bios; fi
seed=$(blkid -L CIDATA || blkid -L cidata)
if [ -n "$seed" ] && mount -o ro "$seed" /mnt; then
  for file in meta-data user-data network-config; do [ -f /mnt/$file ] && sed "s/^/$file: /" /mnt/$file; done
  umount /mnt
fi
ip link set lo up
for nic in /sys/class/net/eth*; do
  nic=\${nic##*/}
  ip link set $nic up
  dhclient -4 -1 -v -lf /run/$nic.4 -pf /run/$nic.pid4 $nic 2>&1 | grep -E '^bound|^No '
  # On a busy machine its neighbours answer late, and this client asks once.
  for try in 1 2 3 4 5 6 7 8; do
    ip -6 addr show dev $nic scope global | grep -q inet6 && break
    dhclient -6 -1 -lf /run/$nic.6 -pf /run/$nic.pid6 $nic || sleep 1
  done
done
ip -o addr show scope global
ip route; ip -6 route show default
grep -v '^#' /etc/resolv.conf
mkdir -p /www; echo hello from a foreign disk >/www/index.html
busybox httpd -p 80 -h /www; busybox httpd -p '[::]:80' -h /www
`,
  },
  { path: 'boot/grub/grub.cfg', text: `set timeout=0
menuentry Debian {
  search --label foreign --set root
  linux /vmlinuz root=LABEL=foreign ro console=tty0 console=ttyS0,115200 net.ifnames=0 tsc=reliable no_timer_check
  initrd /initrd.img
}
` },
  { path: 'etc/initramfs-tools/conf.d/berth-test', text: 'MODULES=list\nCOMPRESS=lz4\nFSTYPE=ext4\n' },
  { path: 'etc/initramfs-tools/hooks/own-modules', mode: 0o755, text: '#!/bin/sh\n[ "$1" = prereqs ] && exit 0\n. /usr/share/initramfs-tools/hook-functions\nmanual_add_modules virtio_pci virtio_blk ext4\n' },
];

/** What GRUB does before it can read its own settings. */
const EARLY = 'search.fs_label foreign root\nset prefix=($root)/boot/grub\nserial --unit=0 --speed=115200\nterminal_output console serial\necho GRUB of the disk\nconfigfile $prefix/grub.cfg\n';
const GRUB_MODULES = ['part_gpt', 'ext2', 'normal', 'configfile', 'search', 'search_label', 'serial', 'terminal', 'echo', 'linux', 'minicmd'];

/** Path of the raw disk. Minutes the first time. */
export async function debianDisk(): Promise<string> {
  const recipe = crypto.createHash('sha256').update(JSON.stringify([PACKAGES, FILES, EARLY, GRUB_MODULES, SIZE])).digest('hex').slice(0, 12);
  const disk = path.join(CACHE, `foreign-disk-${recipe}.raw`);
  if (fs.existsSync(disk)) return disk;
  const archive = await debianArchive('foreign', PACKAGES);
  const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'berth-test-disk-'));
  try {
    const root = path.join(dir, 'root'), image = `${disk}.${process.pid}`;
    await fs.promises.mkdir(root, { mode: 0o755 });
    await run('tar', ['-xf', archive, '-C', root, '--numeric-owner', '--xattrs'], { timeoutMs: LONG_MS });
    await furnish(root);
    await run('truncate', ['-s', String(SIZE), image]);
    await run('sfdisk', ['-q', image], { input: [
      'label: gpt',
      `start=${BIOS_BOOT.start}, size=${BIOS_BOOT.size}, type=21686148-6449-6E6F-744E-656564454649`,
      `start=${ESP.start}, size=${ESP.size}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B`,
      `start=${ROOT.start}, size=${ROOT.size}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4`, '',
    ].join('\n') });
    await biosLoader(root, image);
    await uefiLoader(root, image);
    // GRUB 2.06 does not read file systems with these.
    await run('mkfs.ext4', ['-q', '-L', 'foreign', '-O', '^metadata_csum_seed,^orphan_file', '-d', root, '-E', `offset=${ROOT.start * SECTOR}`, image, `${ROOT.size * SECTOR / 1024}k`], { timeoutMs: LONG_MS });
    await fs.promises.rename(image, disk);
    return disk;
  } finally {
    await fs.promises.rm(dir, { recursive: true, force: true });
  }
}

async function furnish(root: string): Promise<void> {
  for (const file of FILES) {
    const target = path.join(root, file.path);
    await fs.promises.mkdir(path.dirname(target), { recursive: true });
    await fs.promises.writeFile(target, file.text, { mode: file.mode ?? 0o644 });
  }
  await fs.promises.rm(path.join(root, 'sbin/init'), { force: true });
  await fs.promises.symlink('/bin/busybox', path.join(root, 'sbin/init'));
  await run('chroot', [root, 'chpasswd'], { input: 'root:berth\n' });
  await run('chroot', [root, 'update-initramfs', '-u'], { timeoutMs: LONG_MS, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  const [release] = await fs.promises.readdir(path.join(root, 'lib/modules'));
  for (const [link, file] of [['vmlinuz', `boot/vmlinuz-${release}`], ['initrd.img', `boot/initrd.img-${release}`]] as const) {
    await fs.promises.rm(path.join(root, link), { force: true });
    await fs.promises.symlink(file, path.join(root, link));
  }
  for (const waste of ['var/lib/apt/lists', 'var/cache/apt', 'usr/share/doc', 'usr/share/locale', 'usr/share/man']) await fs.promises.rm(path.join(root, waste), { recursive: true, force: true });
}

async function grubImage(root: string, format: string, modules: readonly string[]): Promise<string> {
  await fs.promises.writeFile(path.join(root, 'tmp/early.cfg'), EARLY);
  await run('chroot', [root, 'grub-mkimage', '-O', format, '-o', '/tmp/core', '-c', '/tmp/early.cfg', '-p', '/boot/grub', ...GRUB_MODULES, ...modules], { timeoutMs: LONG_MS });
  return path.join(root, 'tmp/core');
}

/** What grub-bios-setup does: who starts it at which sector, and where the rest lies (grub-core/boot/i386/pc/). */
async function biosLoader(root: string, image: string): Promise<void> {
  const core = await fs.promises.readFile(await grubImage(root, 'i386-pc', ['biosdisk']));
  if (core.length > BIOS_BOOT.size * SECTOR) throw new Error('GRUB does not fit its partition');
  core.writeBigUInt64LE(BigInt(BIOS_BOOT.start + 1), 0x1f4);
  const boot = (await fs.promises.readFile(path.join(root, 'usr/lib/grub/i386-pc/boot.img'))).subarray(0, 440);
  boot.writeBigUInt64LE(BigInt(BIOS_BOOT.start), 0x5c);
  const file = await fs.promises.open(image, 'r+');
  try {
    await file.write(boot, 0, boot.length, 0);
    await file.write(core, 0, core.length, BIOS_BOOT.start * SECTOR);
  } finally {
    await file.close();
  }
}

async function uefiLoader(root: string, image: string): Promise<void> {
  const efi = await grubImage(root, 'x86_64-efi', ['fat', 'efi_gop']), esp = `${image}@@${ESP.start * SECTOR}`;
  await run('mformat', ['-i', esp, '-T', String(ESP.size), '-h', '16', '-s', '32', '-v', 'ESP', '::']);
  await run('mmd', ['-i', esp, '::/EFI', '::/EFI/BOOT']);
  await run('mcopy', ['-i', esp, efi, '::/EFI/BOOT/BOOTX64.EFI']);
}
