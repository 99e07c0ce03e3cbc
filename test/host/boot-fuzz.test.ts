/**
 * The boot program over damaged seeds and a damaged /etc: built with the address and undefined-behaviour sanitizers, in a
 * mount namespace in which all that it may write is empty and all else read-only. It always ends as the init that it becomes.
 */
import { enterOwnNamespaces } from '../lib/own-namespaces.ts';

enterOwnNamespaces();

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import { bootSeed } from '../../src/drivers/runtime/boot-seed.ts';
import type { UnitPlan } from '../../src/drivers/runtime/driver.ts';
import { seededBelow } from '../lib/seeded-order.ts';

const ROUNDS = Number(process.env['BERTH_FUZZ_ROUNDS'] ?? 200);
const SEED = Number(process.env['BERTH_FUZZ_SEED'] ?? randomInt(2 ** 31));
const NATIVE = path.resolve(import.meta.dirname, '../../native');
const WRITTEN = ['/etc', '/var', '/home', '/root', '/run', '/srv'];
const PROGRAM = '/run/boot';

before(() => {
  // Built first: the checkout itself may lie below a directory that is emptied now.
  const build = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-boot-'));
  const built = path.join(build, 'boot');
  const main = 'int boot_main(int, char **); int main(int argc, char **argv) { return boot_main(argc, argv); }';
  execFileSync('gcc', ['-std=gnu17', '-O1', '-g', '-fsanitize=address,undefined', '-D_GNU_SOURCE', '-o', built, ...['os-boot.c', 'os-users.c', 'os-ready.c'].map((file) => path.join(NATIVE, file)), '-x', 'c', '-'], { input: main });
  const program = fs.readFileSync(built);
  fs.rmSync(build, { recursive: true });
  for (const dir of WRITTEN) execFileSync('mount', ['-t', 'tmpfs', 'none', dir]);
  fs.writeFileSync(PROGRAM, program, { mode: 0o755 });
  execFileSync('mount', ['-o', 'remount,bind,ro', '/']);
  assert.throws(() => { fs.writeFileSync('/written', ''); }, { code: 'EROFS' });
});

const FILES: Readonly<Record<string, string>> = {
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n', '/etc/group': 'root:x:0:\nadm:x:4:syslog\nsudo:x:27:\n', '/etc/shadow': 'root:*:1:0:99999:7:::\n',
  '/etc/inittab': 'id:2:initdefault:\n1:2345:respawn:/sbin/getty 38400 tty1\n', '/etc/hostname': 'x\n', '/var/lib/berth/instance': 'abcdefghijkl\nweb\n', '/var/lib/berth/commands': '1\n',
};

function damaged(bytes: Buffer, below: (limit: number) => number): Buffer {
  let copy = Buffer.from(bytes);
  for (let count = below(7); count > 0 && copy.length > 4; count--) {
    const at = below(copy.length - 3);
    switch (below(6)) {
      case 0: copy[at] = [0, 1, 10, 58, 127, 255][below(6)]!; break;
      case 1: copy[at] = below(256); break;
      case 2: copy = copy.subarray(0, at); break;
      case 3: copy = Buffer.concat([copy.subarray(0, at), Buffer.from([':', '\n', 'bob:', '9'.repeat(400), ':'.repeat(200), 'getty tty console\n'.repeat(20)][below(6)]!), copy.subarray(at)]); break;
      default: copy.writeUInt32LE([0, 1, 2 ** 31, 2 ** 32 - 1, 4096, 4097, copy.length][below(7)]!, at);
    }
  }
  return copy;
}

/** A file, damaged; sometimes a link, a FIFO or nothing. */
function lay(file: string, text: string, below: (limit: number) => number): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.rmSync(file, { force: true, recursive: true });
  const kind = below(20);
  // The commands of the boot before may be at work still, and put the file back.
  if (kind === 0) spawnSync('ln', ['-sf', ['/etc/none', '/etc/passwd', '/dev/full', '/proc/self/mem', file][below(5)]!, file]);
  else if (kind === 1) spawnSync('mkfifo', [file]);
  else if (kind > 2) fs.writeFileSync(file, damaged(Buffer.from(text), below));
}

function seedOf(below: (limit: number) => number): Buffer {
  const text = (...choices: readonly string[]): string => choices[below(choices.length)]!;
  const plan = {
    id: text('abcdefghijkl', 'zzzzzzzzzzzz'), hostname: text('web', 'w'.repeat(60)), network: { interfaces: [], nameservers: ['10.0.0.1'], searchDomains: ['x.berth'] },
    boot: {
      users: [{ name: text('bob', 'eve', 'a'.repeat(32), ''), uid: [undefined, 1500, 99_999_999][below(3)], gecos: 'G', home: text('', '/home/eve', `/srv/${'d'.repeat(300)}`), shell: '', passwordHash: '', groups: text('adm,sudo', 'new,,x', 'a,'.repeat(200)).split(','), sudo: ['ALL'], keys: ['ssh-ed25519 A'] }],
      files: [{ path: `/srv/${text('f', 'd/e/f', 'x'.repeat(5000), '')}`, mode: 0o644, owner: text('root', 'bob', '77', 'nobody'), group: text('root', 'adm', '4', ''), append: below(2) === 0, content: Buffer.from('x') }],
      commands: [['true']], cloud: below(4) === 0 ? { metaData: 'm', userData: 'u' } : undefined,
    },
  } as unknown as UnitPlan;
  return Buffer.from(bootSeed(plan));
}

test(`${ROUNDS} damaged boots (seed ${SEED})`, { timeout: 600_000 }, () => {
  const below = seededBelow(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [file, text] of Object.entries(FILES)) lay(file, text, below);
    fs.writeFileSync('/run/seed', below(3) === 0 ? seedOf(below) : damaged(seedOf(below), below));
    const { status, signal, stderr } = spawnSync(PROGRAM, ['/run/seed', '--', '/bin/sh', '-c', 'exit 42'], { encoding: 'latin1', timeout: 20_000, stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: '/usr/bin:/bin', ASAN_OPTIONS: 'detect_leaks=0' } });
    assert.deepEqual([status, signal], [42, null], `round ${round}: ${stderr.slice(-3000)}`);
    assert.doesNotMatch(stderr, /Sanitizer|runtime error/, `round ${round}`);
    assert.ok(!fs.existsSync('/run/seed'), 'read once');
  }
});
