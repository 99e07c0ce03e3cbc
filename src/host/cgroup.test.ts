import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { cgroupMounts } from './cgroup.ts';
import { keyedNumber } from './cgroup-files.ts';
import { ControlGroupsV2 } from './cgroup-v2.ts';

it('finds the hierarchies of a hybrid host, and not what a container shows of them', () => {
  const text = [
    '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
    '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct',
    '40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd',
    '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate',
    '50 31 0:29 /some/where /mnt/cpu rw,relatime - cgroup cgroup rw,cpu',
  ].join('\n');
  assert.deepEqual(cgroupMounts(text), [
    { type: 'cgroup', target: '/sys/fs/cgroup/cpu,cpuacct', options: ['rw', 'cpu', 'cpuacct'] },
    { type: 'cgroup', target: '/sys/fs/cgroup/systemd', options: ['rw', 'xattr', 'name=systemd'] },
    { type: 'cgroup2', target: '/sys/fs/cgroup/unified', options: ['rw', 'nsdelegate'] },
  ]);
});

it('reads the value of a key, and 0 where it is not', () => {
  const text = 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n';
  assert.equal(keyedNumber(text, 'oom_kill'), 3);
  assert.equal(keyedNumber(text, 'under_oom'), 0);
  assert.equal(keyedNumber(text, 'oom'), 0);
  assert.equal(keyedNumber('oom_kill 5', 'oom_kill'), 5);
  assert.equal(keyedNumber('', 'oom_kill'), 0);
});

/** Plain files stand for the kernel's. */
function standIn(work: (groups: ControlGroupsV2, dir: string) => void): void {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-cg2-'));
  const dir = path.join(root, 'berth-x', 'unit');
  fs.mkdirSync(dir, { recursive: true });
  for (const [name, text] of Object.entries({
    'memory.max': '', 'memory.swap.max': '', 'cpu.max': '', 'cpu.weight': '', 'pids.max': '', 'cgroup.freeze': '', 'cgroup.procs': '12\n34\n', 'cgroup.kill': '',
    'memory.current': '9000\n', 'memory.stat': 'anon 1\ninactive_file 1000\n', 'cpu.stat': 'usage_usec 7\nuser_usec 3\n', 'pids.current': '2\n', 'memory.events': 'low 0\noom 1\noom_kill 1\n', 'cgroup.events': 'populated 1\nfrozen 1\n',
  })) fs.writeFileSync(path.join(dir, name), text);
  try {
    using groups = new ControlGroupsV2('berth-x', root);
    work(groups, dir);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

it('writes limits in the words of version 2', () => standIn((groups, dir) => {
  const read = (name: string): string => fs.readFileSync(path.join(dir, name), 'utf8');
  groups.create('unit', { memoryBytes: 1 << 20, cpus: 0.5, cpuWeight: 100, pids: 9 });
  assert.deepEqual(['memory.max', 'memory.swap.max', 'cpu.max', 'cpu.weight', 'pids.max'].map(read), ['1048576', '0', '50000 100000', '100', '9']);
  for (const name of ['memory.max', 'memory.swap.max', 'cpu.max', 'pids.max']) fs.writeFileSync(path.join(dir, name), '');
  groups.update('unit', { cpuWeight: 20_000 });
  assert.deepEqual(['memory.max', 'memory.swap.max', 'cpu.max', 'pids.max'].map(read), ['max', 'max', 'max 100000', 'max']);
  assert.equal(read('cpu.weight').slice(0, 5), '10000');
}));

it('reads statistics, states and processes in the words of version 2', () => standIn((groups, dir) => {
  fs.writeFileSync(path.join(dir, 'memory.max'), 'max\n');
  assert.deepEqual(groups.stats('unit'), { memoryBytes: 8000, memoryLimitBytes: undefined, cpuNanoseconds: 7000, pids: 2, oomKills: 1 });
  assert.equal(groups.stats('other'), undefined);
  assert.equal(groups.frozen('unit'), true);
  assert.equal(groups.frozen('other'), false);
  assert.deepEqual(groups.pids('unit'), [12, 34]);
  assert.deepEqual(groups.ids(), ['unit']);
  assert.deepEqual(groups.joinFiles('unit'), [path.join(dir, 'cgroup.procs')]);
  groups.kill('unit');
  groups.kill('other');
  assert.equal(fs.readFileSync(path.join(dir, 'cgroup.kill'), 'utf8'), '1');
}));
