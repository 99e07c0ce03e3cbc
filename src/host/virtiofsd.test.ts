import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEBIAN_VIRTIOFSD, judgeVersion, probeVirtiofsd } from './virtiofsd.ts';

test('Debian 13’s is taken, QEMU’s in C, an older one and what is none are not, each with its reason and the way out', async () => {
  assert.deepEqual(judgeVersion('virtiofsd 1.13.2\n', DEBIAN_VIRTIOFSD), { ok: true, version: '1.13.2', program: DEBIAN_VIRTIOFSD });
  assert.ok(judgeVersion('virtiofsd 2.0.0\n', DEBIAN_VIRTIOFSD).ok);
  for (const [said, reason] of [['virtiofsd version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nusing FUSE kernel interface version 7.36\n', /Rust/], ['virtiofsd 1.10.1\n', /1\.10\.1 is older than 1\.13/], ['', /Rust/]] as const) {
    const sharing = judgeVersion(said, DEBIAN_VIRTIOFSD);
    assert.ok(!sharing.ok);
    assert.match(sharing.reason, reason);
    assert.match(sharing.hint, /--type block.*container.*Debian 13/);
  }
  const missing = await probeVirtiofsd({ command: ['/nowhere/virtiofsd'], binds: [] });
  assert.ok(!missing.ok);
  assert.match(missing.reason, /^Directories reach a machine by virtio-fs, and this host has no \/nowhere\/virtiofsd\./);
  assert.ok(!(await probeVirtiofsd({ command: ['/bin/false'], binds: [] })).ok);
  const bookworm = await probeVirtiofsd(DEBIAN_VIRTIOFSD, { exists: (file) => file === '/usr/lib/qemu/virtiofsd', run: async () => undefined });
  assert.ok(!bookworm.ok);
  assert.match(bookworm.reason, /\/usr\/lib\/qemu\/virtiofsd, which is here, is the one in C/);
});
