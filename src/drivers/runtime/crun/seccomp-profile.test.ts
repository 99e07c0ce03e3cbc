import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { seccompProfile } from './seccomp-profile.ts';

const file = path.join(import.meta.dirname, 'seccomp/app-container.json');
/** A change of the list is a change of a wall: it is made here too, on purpose. */
const PINNED = 'd86eb5cbfdfe015e9169cc922d28d37a81018cf92e7926c44a8c3ec81d6a1673';

const allowed = (capabilities: readonly string[]): ReadonlySet<string> => new Set(seccompProfile(capabilities, 'x64').syscalls.filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && args === undefined).flatMap(({ names }) => names));

it('is the list that was reviewed', () => {
  assert.equal(crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex'), PINNED);
});

it('knows one architecture only, so that no other numbering passes', () => {
  assert.deepEqual(seccompProfile([], 'x64').architectures, ['SCMP_ARCH_X86_64']);
  assert.deepEqual(seccompProfile([], 'arm64').architectures, ['SCMP_ARCH_AARCH64']);
  assert.throws(() => seccompProfile([], 'ia32'));
});

it('refuses by default, and what opens the kernel is in no list', () => {
  const all = allowed(['CAP_SYS_ADMIN', 'CAP_SYS_BOOT', 'CAP_SYS_CHROOT', 'CAP_SYS_NICE', 'CAP_SYS_PACCT', 'CAP_SYS_PTRACE', 'CAP_SYS_TTY_CONFIG']);
  assert.equal(seccompProfile([], 'x64').defaultAction, 'SCMP_ACT_ERRNO');
  for (const name of ['kexec_load', 'kexec_file_load', 'init_module', 'finit_module', 'delete_module', 'bpf', 'perf_event_open', 'io_uring_setup', 'userfaultfd', 'open_by_handle_at', 'keyctl', 'add_key', 'request_key', 'iopl', 'ioperm', 'swapon', 'socketcall', 'settimeofday', 'clock_settime', 'syslog']) {
    assert.ok(!all.has(name), name);
  }
});

it('compares socket families so that upper bits hide nothing', () => {
  const rules = seccompProfile([], 'x64').syscalls.filter(({ names }) => names.includes('socket'));
  for (const { args } of rules) assert.ok(args!.every(({ op, value }) => (op === 'SCMP_CMP_LT' && value <= 38) || (op === 'SCMP_CMP_EQ' && value !== 38 && value !== 40)));
});

it('lets capabilities decide about namespaces', () => {
  assert.ok(!allowed([]).has('unshare') && !allowed([]).has('clone'));
  assert.ok(allowed(['CAP_SYS_ADMIN']).has('unshare') && allowed(['CAP_SYS_ADMIN']).has('clone'));
  assert.ok(allowed(['CAP_SYS_CHROOT']).has('chroot') && !allowed([]).has('chroot'));
});
