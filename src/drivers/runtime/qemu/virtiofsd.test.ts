import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtiofsdCommandLine } from './virtiofsd.ts';

test('it walls itself in, and is given no rights that files do not need', () => {
  const line = virtiofsdCommandLine(['/usr/libexec/virtiofsd']);
  for (const word of ['--sandbox=chroot', '--seccomp=kill', '--modcaps=-mknod:-setfcap', '--inode-file-handles=never', '--no-announce-submounts', '--cache=auto']) assert.ok(line.includes(word), word);
  assert.ok(!line.some((word) => /^--(tag|writeback|socket-path|posix-acl|translate)/.test(word)));
});
