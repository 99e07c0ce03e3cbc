/**
 * Root file systems from Debian packages, as `berth image bootstrap` makes them. A test's daemon sits in a network without
 * a way out, so they are made beside it, once, and kept in .build for the next run.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { debianLayer, type DebianSuite } from '../../src/drivers/content/bootstrap/debian.ts';

const CACHE = path.resolve(import.meta.dirname, '../../.build/test-images');

/** A file's name has 255 bytes. */
const LONG_NAME = 150;

/** What a system needs to be one that people work on. */
const SYSTEM = ['dbus', 'openssh-server', 'iproute2', 'procps', 'sudo', 'kmod', 'iputils-ping'];
const INITS = {
  systemd: ['systemd-sysv', 'libpam-systemd', ...SYSTEM],
  /** Brings its own first boot. */
  'cloud-init': ['systemd-sysv', 'libpam-systemd', 'cloud-init', ...SYSTEM],
  sysvinit: ['sysvinit-core', 'sysv-rc', 'initscripts', 'iproute2', 'procps'],
  openrc: ['sysvinit-core', 'openrc', 'initscripts', 'iproute2', 'procps'],
} as const;

/** A system with this init; a tar for `berth image import`. */
export function systemArchive(init: keyof typeof INITS, suite: DebianSuite = 'bookworm'): Promise<string> {
  return debianArchive(`os-${init}`, INITS[init], suite);
}

/** Path of a tar for `berth image import`. Minutes the first time. Packages of another month may be gone from the mirror; what was built then still does. */
export async function debianArchive(name: string, include: readonly string[], suite: DebianSuite = 'bookworm'): Promise<string> {
  const packages = include.join('+');
  const file = path.join(CACHE, `${suite}-${name}-${packages.length < LONG_NAME ? packages : createHash('sha256').update(packages).digest('hex').slice(0, 16)}.tar`);
  if (fs.existsSync(file)) return file;
  await fs.promises.mkdir(CACHE, { recursive: true });
  const temporaryDir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'berth-test-debian-'));
  const temporary = `${file}.${process.pid}`;
  try {
    await fs.promises.chmod(temporaryDir, 0o755);
    await pipeline(debianLayer(suite, { include, temporaryDir }), fs.createWriteStream(temporary));
    await fs.promises.rename(temporary, file);
    return file;
  } finally {
    await fs.promises.rm(temporary, { force: true });
    await fs.promises.rm(temporaryDir, { recursive: true, force: true });
  }
}
