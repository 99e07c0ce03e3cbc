/**
 * Debian 13's virtiofsd on any host: fetched once with the libraries that it was built with, and run by their own loader.
 * Everything else of a test is the host's.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { VirtiofsdProgram } from '../../src/host/virtiofsd.ts';
import { debianArchive } from './debian-images.ts';

const LIBRARIES = 'usr/lib/x86_64-linux-gnu';
const FILES = ['ld-linux-x86-64.so.2', 'libc.so.6', 'libm.so.6', 'libgcc_s.so.1', 'libseccomp.so.2*', 'libcap-ng.so.0*'];

/** The first call on a host takes minutes. The directory is gone at the end of the process. */
export async function virtiofsdOfTrixie(): Promise<VirtiofsdProgram> {
  const archive = await debianArchive('virtiofsd', ['virtiofsd'], 'trixie');
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bvfs-'));
  process.once('exit', () => { fs.rmSync(dir, { recursive: true, force: true }); });
  fs.chmodSync(dir, 0o755);
  execFileSync('tar', ['-xf', archive, '-C', dir, '--wildcards', './usr/libexec/virtiofsd', ...FILES.map((name) => `./${LIBRARIES}/${name}`)]);
  const libraries = path.join(dir, LIBRARIES);
  return { command: [path.join(libraries, 'ld-linux-x86-64.so.2'), '--library-path', libraries, path.join(dir, 'usr/libexec/virtiofsd')], binds: [{ source: dir, target: dir }] };
}
