import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BerthError } from '../../../model/errors.ts';
import { PUBLIC_MIRROR } from './apt-mirror.ts';
import { checkPackages, debianCommand, debianConfig } from './debian.ts';

describe('debianCommand', () => {
  it('is a list of arguments without any text of a user but package names', () => {
    const args = debianCommand('trixie', ['nginx', 'libstdc++6'], PUBLIC_MIRROR, ['Acquire::http::Proxy "http://proxy:3128"']);
    assert.deepEqual(args.slice(0, 3), ['--mode=unshare', '--variant=minbase', '--format=tar']);
    assert.deepEqual(args.slice(-7), [
      '--aptopt=Acquire::http::Proxy "http://proxy:3128"', '--include=nginx,libstdc++6', 'trixie', '-',
      'deb http://deb.debian.org/debian trixie main', 'deb http://deb.debian.org/debian trixie-updates main', 'deb http://deb.debian.org/debian-security trixie-security main',
    ]);
  });
});

describe('debianConfig', () => {
  it('starts the init where there is one, else a shell', () => {
    assert.deepEqual(debianConfig(['nginx', 'systemd-sysv']), { command: ['/sbin/init'], stopSignal: 'SIGRTMIN+3' });
    assert.deepEqual(debianConfig(['sysvinit-core']), { command: ['/sbin/init'] });
    assert.deepEqual(debianConfig(['nginx']), { command: ['bash'] });
  });
});

describe('checkPackages', () => {
  it('takes names once', () => assert.deepEqual(checkPackages(['nginx', 'nginx', 'g++']), ['nginx', 'g++']));

  it('refuses what apt could take for something else', () => {
    for (const name of ['-o=x', 'a', 'Nginx', 'a b', '../x', '/tmp/x.deb', '?installed', 'a;b', '$(x)', 'a,b', 'a=1', 'a/sid', '', `a${'b'.repeat(200)}`]) {
      assert.throws(() => checkPackages([name]), (error: unknown) => error instanceof BerthError && error.code === 'invalid' && error.fields[0]?.path === 'include', name);
    }
  });
});
