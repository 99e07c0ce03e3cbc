/**
 * What the root of a whole system may do to the host: security.md A23, and A07, A14, A18, A19, A20, B01, B06, C06 for OS
 * containers. It has CAP_SYS_ADMIN within its user namespace: it may take our masks away, so the walls are the kernel's own.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cgroupMounts } from '../../src/host/cgroup.ts';
import { ociSpec } from '../../src/drivers/runtime/crun/oci-spec.ts';
import { execPlan, withCrunBench, type CrunBench, type CrunBenchOptions } from '../lib/crun-bench.ts';
import { bootSystem, inSystem, SYSTEM_CAPABILITIES, systemLayer, systemPlan, type SystemLayer } from '../lib/os-bench.ts';
import { goesRed } from '../lib/red.ts';
import { patient } from '../lib/patience.ts';
import { until } from '../lib/until.ts';

let system: SystemLayer;
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-escape-os-'));
before(async () => { system = await systemLayer('systemd'); }, { timeout: 900_000 });
after(async () => {
  await system?.[Symbol.asyncDispose]();
  fs.rmSync(scratch, { recursive: true });
});

type Inside = (script: string) => Promise<string>;

function withSystem(work: (inside: Inside, bench: CrunBench, booted: Awaited<ReturnType<typeof bootSystem>>) => Promise<void>, options: CrunBenchOptions = {}, layers: readonly string[] = []): Promise<void> {
  return withCrunBench(async (bench) => {
    const booted = await bootSystem(bench, [system.dir, ...layers]);
    assert.equal(booted.state, 'running');
    await work((script) => inSystem(bench, booted.id, script), bench, booted);
  }, options);
}

/** What of the host must be as it was, whatever is done inside. */
function hostFacts(): Readonly<Record<string, string>> {
  const files = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/panic', '/proc/sys/kernel/hostname', '/proc/sys/vm/swappiness', '/proc/sys/fs/file-max', '/proc/sys/kernel/modprobe', '/proc/modules', '/proc/swaps'];
  return Object.fromEntries(files.filter((file) => fs.existsSync(file)).map((file) => [file, fs.readFileSync(file, 'utf8').replaceAll(/ \d+ (?=[-\w,]+ Live)/g, ' ')]));
}

describe('A23: the init of a system in a user namespace', () => {
  test('clock, modules, kernel settings, disks and the kernel log are out of its reach', () => withSystem(async (inside) => {
    const before = hostFacts();
    const clock = Date.now();
    const refusals = {
      'date -s 2001-01-01': /cannot set date: Operation not permitted/,
      'modprobe dummy || insmod /etc/hostname': /not found|Operation not permitted|could not/,
      'sysctl -w kernel.panic=7 kernel.core_pattern=x kernel.modprobe=/x vm.swappiness=1 fs.file-max=10': /^(sysctl: (permission denied on key|cannot stat).*\n){5}$/,
      'mknod /root/disk b 254 0; mknod /root/sda b 8 0; mknod /root/kmsg c 1 11': /^(mknod: .*Operation not permitted\n){3}$/,
      'for d in /dev/sda /dev/vda /dev/nvme0n1; do mount $d /mnt; done': /^(?!.*mounted on)/,
      dmesg: /Operation not permitted/,
      'swapon /etc/hostname': /swapon/,
      'mount -t debugfs d /mnt; mount -t tracefs d /mnt; mount -t securityfs d /mnt; mount -t devtmpfs d /mnt; mount -t bpf b /mnt; mount -t ext4 /dev/vda /mnt; mount -t fuse f /mnt': /^(?!.*\/mnt type)/,
      'losetup -f': /cannot find|Permission|No such/,
    };
    for (const [command, refusal] of Object.entries(refusals)) assert.match(await inside(`{ ${command}; } 2>&1 | grep -v 'more information'`), refusal, command);
    assert.equal(await inside('mountpoint -q /mnt && echo mounted'), '');
    assert.deepEqual(hostFacts(), before);
    assert.ok(Math.abs(Date.now() - clock) < 300_000);
  }));

  test('of the control groups it has its own subtree, and not its limits', () => withSystem(async (inside, bench, { id }) => {
    assert.equal(await inside('mkdir /sys/fs/cgroup/own && echo $$ > /sys/fs/cgroup/own/cgroup.procs && cat /proc/self/cgroup | tail -1'), '0::/own\n');
    assert.match(await inside('echo $$ 2>&1 > /sys/fs/cgroup/../cgroup.procs || true; mkdir /sys/fs/x 2>&1 || true'), /Read-only file system/);
    const denied = await inside('for f in cgroup.max.descendants cgroup.max.depth cgroup.freeze cgroup.kill cgroup.type; do ( echo 1 > /sys/fs/cgroup/$f ) 2>&1; done');
    assert.equal(denied.split('Permission denied').length - 1, 5, denied);
    // Anew, of either version: still no more than its own part, owned by the host.
    const anew = await inside('mkdir -p /root/m; mount -t cgroup2 none /root/m && ls -d /root/m/own && umount /root/m; for c in memory pids devices freezer cpu name=systemd; do mount -t cgroup -o $c none /root/m 2>/dev/null || continue; mkdir /root/m/x && echo made; for f in /root/m/tasks /root/m/release_agent /root/m/memory.limit_in_bytes /root/m/pids.max /root/m/devices.allow /root/m/notify_on_release; do [ -e $f ] && ( echo 1 > $f ) && echo wrote $f; done; umount /root/m; done 2>/dev/null');
    assert.equal(anew.replace(/^wrote \/root\/m\/tasks\n/gm, ''), '/root/m/own\n');
    const limit = Number(await inside('mount -t cgroup -o pids none /root/m 2>/dev/null && cat /root/m/pids.max || echo 1024'));
    assert.equal(limit, 1024);
    // How many it may make is bounded, and all of them go with it.
    const made = Number(await inside('cd /sys/fs/cgroup/own; mkdir $(seq 4300) 2>/dev/null; ls -d [0-9]* | wc -l'));
    assert.ok(made > 1000 && made < 4200, String(made));
    await bench.driver.remove(id, { keepLog: false });
    assert.deepEqual(await bench.driver.leftovers(new Set()), []);
  }));

  test('one that freezes the group in which commands come in stops its own commands, and nothing of the daemon', () => withSystem(async (inside, bench, { id }) => {
    await inside('(sleep 0.5; cd /sys/fs/cgroup; while ! rmdir berth-exec; do sleep 0.1; done; mkdir berth-exec && echo 1 > berth-exec/cgroup.freeze && touch /run/frozen) >/dev/null 2>&1 </dev/null & echo $! > /sys/fs/cgroup/init.scope/cgroup.procs');
    await until(() => frozenGroups(bench.rootTag, id), { deadlineMs: 20_000, what: 'the frozen group' });
    const session = await bench.driver.exec(id, execPlan(['/bin/true'], { capabilities: SYSTEM_CAPABILITIES, noNewPrivileges: false }));
    const begin = performance.now();
    await session.close();
    assert.equal((await session.exit).exitCode, 137);
    assert.ok(performance.now() - begin < patient(10_000));
    await bench.driver.remove(id, { keepLog: false });
    assert.deepEqual(await bench.driver.leftovers(new Set()), []);
  }));
  function frozenGroups(tag: string, id: string): boolean {
    const unit = path.join(cgroupMounts().find((mount) => mount.type === 'cgroup2')!.target, `berth-${tag}`, id);
    try {
      // Where all controllers are v2's, what is the system's begins one level below its limits.
      const own = fs.existsSync(path.join(unit, 'init')) ? path.join(unit, 'init') : unit;
      return fs.readFileSync(path.join(own, 'berth-exec', 'cgroup.freeze'), 'utf8').trim() === '1';
    } catch {
      return false; // it is between two of its lives
    }
  }

  test('/sys is read-only but for its control groups; what it mounts anew it cannot write', () => withSystem(sysIsReadOnly));
  test('goes red when /sys is writable', () => goesRed(() => withSystem(sysIsReadOnly, { guards: { spec(plan, around) {
    const spec = ociSpec(plan, around);
    return { ...spec, mounts: spec.mounts.map((one) => (one.destination === '/sys' ? { ...one, options: one.options.filter((option) => option !== 'ro') } : one)) };
  } } })));
  async function sysIsReadOnly(inside: Inside): Promise<void> {
    assert.match(await inside('touch /sys/kernel/x 2>&1; echo 1500 2>&1 > /sys/class/net/lo/mtu'), /^touch: .*Read-only file system\n/);
    assert.equal(await inside('mount -t sysfs none /mnt && for f in $(find /mnt -maxdepth 3 -type f -perm -200 2>/dev/null | head -200); do ( : > $f ) 2>/dev/null && echo $f; done'), '');
  }

  test('reboot and power-off are its own', () => withCrunBench(async (bench) => {
    for (const [command, reason] of [['reboot -f -f', 'reboot'], ['poweroff -f -f', 'poweroff'], ['systemctl reboot', 'reboot'], ['systemctl poweroff', 'poweroff'], ['halt', 'poweroff']] as const) {
      const { id } = await bootSystem(bench, [system.dir]);
      const ended = bench.driver.waitExit(id, AbortSignal.timeout(patient(30_000)));
      await inSystem(bench, id, command).catch(() => undefined);
      const exit = await ended;
      assert.deepEqual([exit.reason, exit.exitCode], [reason, 0], command);
      await bench.driver.remove(id, { keepLog: false });
    }
  }));

  test('power-off asked from outside is heard, also by one that is only just starting', () => withCrunBench(async (bench) => {
    const plan = systemPlan(bench, [system.dir]);
    await bench.driver.create(plan);
    await bench.driver.start(plan.id);
    const ended = bench.driver.waitExit(plan.id, AbortSignal.timeout(patient(60_000)));
    let over = false;
    void ended.finally(() => { over = true; });
    await until(async () => {
      if (!over) await bench.driver.powerOff!(plan.id).catch(() => undefined);
      return over;
    }, { deadlineMs: 60_000, intervalMs: 1000, what: 'its power-off' });
    assert.equal((await ended).reason, 'poweroff');
  }));
});

/** As in escape-kernel.test.ts, but for what an init needs to make namespaces and mounts of its own. */
const CLOSED = [
  'bpf', 'perf_event_open', 'io_uring_setup', 'keyctl', 'add_key', 'request_key', 'kexec_load', 'kexec_file_load', 'open_by_handle_at', 'userfaultfd', 'init_module', 'finit_module', 'delete_module',
  'swapon', 'swapoff', 'syslog', 'settimeofday', 'clock_settime', 'move_pages', 'migrate_pages', 'fanotify_init', 'personality-no-randomize', 'socket-alg', 'socket-vsock', 'socket-alg-high', 'socket-vsock-high', 'iopl', 'ioperm',
];

async function systemCalls(options: CrunBenchOptions): Promise<void> {
  const layer = path.join(scratch, 'probe-layer');
  if (!fs.existsSync(layer)) {
    fs.mkdirSync(path.join(layer, 'opt'), { recursive: true, mode: 0o755 });
    execFileSync('gcc', ['-std=gnu17', '-O1', '-D_GNU_SOURCE', '-static', '-o', path.join(layer, 'opt/probe'), path.join(import.meta.dirname, '../fixtures/syscall-probe.c')]);
    for (const dir of [scratch, layer]) fs.chmodSync(dir, 0o755);
  }
  // What it unmounts is gone for the exec after it: one system for each.
  await withSystem(async (inside) => {
    const seen = Object.fromEntries((await inside('/opt/probe')).trim().split('\n').map((line) => line.split(' ') as [string, string]));
    assert.deepEqual(Object.fromEntries(CLOSED.map((name) => [name, seen[name]])), Object.fromEntries(CLOSED.map((name) => [name, 'EPERM'])));
    assert.deepEqual([seen['x32-getpid'], seen['i386-getpid']], ['SIGSYS', 'SIGSYS'], 'no other architecture');
    assert.deepEqual([seen['unshare-user'], seen['clone-net'], seen['sethostname']], ['ok', 'ok', 'ok'], 'what an init needs');
  }, options, [layer]);
}

test('A19: system calls of a system', () => systemCalls({}));
test('A19 goes red without the filter', () => goesRed(() => systemCalls({ guards: { seccomp: () => undefined } })));

test('A18: its ids are a range of its own', () => withSystem(async (inside, _bench, { pid }) => {
  for (const file of ['uid_map', 'gid_map']) {
    const [first, base, count] = (await inside(`cat /proc/1/${file}`)).trim().split(/\s+/).map(Number);
    assert.ok(first === 0 && base! >= 65_536 && count === 65_536);
    assert.equal(fs.statSync(`/proc/${pid}`).uid, base);
  }
}));

test('A20: harmless devices only, and none that it makes or finds', () => withSystem(devices));
test('A20 goes red with one device more', () => goesRed(() => withSystem(devices, { guards: { spec(plan, around) {
  const spec = ociSpec(plan, around);
  const kmsg = { path: '/dev/kmsg', type: 'c', major: 1, minor: 11, fileMode: 0o666, uid: 0, gid: 0 };
  return { ...spec, linux: { ...spec.linux, devices: [kmsg] as unknown as typeof spec.linux.devices } };
} } })));
async function devices(inside: Inside): Promise<void> {
  // By stat(2): a directory entry says what lies below the mount.
  assert.equal(await inside('for f in /dev/* /dev/.[!.]*; do [ -L $f ] && continue; { [ -c $f ] || [ -b $f ]; } && echo $f; done'), '/dev/console\n/dev/full\n/dev/null\n/dev/random\n/dev/tty\n/dev/urandom\n/dev/zero\n');
  assert.equal(await inside('ls /dev/.seed /dev/kmsg /dev/mem /dev/fuse /dev/kvm /dev/loop-control /dev/net/tun 2>/dev/null'), '');
}

/** Takes every mask and every read-only mount of ours away, as its root can. */
const UNMASK = 'for m in $(awk \'$2 ~ "^/(proc|sys)/" && $2 != "/sys/fs/cgroup" {print $2}\' /proc/mounts); do umount $m; done 2>/dev/null; ';

test('B01, B06: with all masks taken away the kernel itself keeps its secrets', () => withSystem(async (inside) => {
  const secrets = ['/proc/kcore', '/proc/timer_list', '/proc/slabinfo', '/proc/kmsg', '/proc/kpagecount', '/proc/vmallocinfo', '/proc/sched_debug', '/proc/sysrq-trigger', '/sys/firmware/acpi/tables/DSDT', '/sys/kernel/debug/x', '/sys/kernel/tracing/trace'];
  assert.equal(await inside(`${UNMASK} for f in ${secrets.join(' ')}; do head -c1 $f 2>/dev/null | wc -c; done | sort -u`), '0\n');
  assert.equal(await inside('cut -d" " -f1 /proc/kallsyms | sort -u; cut -d- -f1 /proc/iomem | tr -d " " | sort -u; cat /proc/keys | wc -l'), '0000000000000000\n00000000\n0\n');
  assert.equal(await inside('( echo h > /proc/sysrq-trigger ) 2>/dev/null && echo wrote; ( echo x > /proc/irq/default_smp_affinity ) 2>/dev/null && echo wrote'), '');
}));

test('B01: every kernel setting that it can write is its own', () => withSystem(async (inside) => {
  const all = (): Map<string, string> => new Map(execFileSync('sh', ['-c', 'find /proc/sys -type f -perm -200 2>/dev/null'], { encoding: 'utf8', maxBuffer: 1 << 26 }).trim().split('\n').flatMap((file) => {
    try {
      return [[file, fs.readFileSync(file, 'latin1')] as const];
    } catch {
      return [];
    }
  }));
  const moving = /\/(random\/|fs\/(dentry-state|file-nr|inode)|ns_last_pid|kernel\/pty\/nr)/;
  const before = all();
  const changed = await inside(`find /proc/sys -type f -perm -200 2>/dev/null | while read f; do v=$(head -c 64 $f 2>/dev/null) || continue; case $v in ""|*[!0-9]*) continue;; esac; ( echo $((v+1)) > $f ) 2>/dev/null && [ "$(cat $f)" != "$v" ] && echo $f; done`);
  // The one of them that is the whole host's, once it is set.
  assert.equal(await inside('f=/proc/sys/net/netfilter/nf_hooks_lwtunnel; [ ! -e $f ] || { ( echo 1 > $f ) 2>&1 | grep -c "Read-only"; }'), fs.existsSync('/proc/sys/net/netfilter/nf_hooks_lwtunnel') ? '1\n' : '');
  const own = changed.trim().split('\n').filter((file) => !file.endsWith('ns_last_pid'));
  assert.ok(own.length > 20, changed);
  assert.deepEqual(own.filter((file) => !/^\/proc\/sys\/(net\/|fs\/mqueue\/|user\/|kernel\/(msg|sem|shm|auto_msgmni|pid_max))/.test(file)), []);
  const now = all();
  assert.deepEqual([...before].filter(([file, value]) => !moving.test(file) && now.has(file) && now.get(file) !== value).map(([file]) => file), []);
}));

describe('A07, A14: an image full of links', () => {
  test('what is refused for applications is refused for systems', () => withCrunBench(async (bench) => {
    const hostile = path.join(scratch, 'links');
    fs.mkdirSync(path.join(hostile, 'dev'), { recursive: true });
    fs.symlinkSync(path.join(scratch, 'made'), path.join(hostile, 'dev/console'));
    await assert.rejects(bench.driver.create(systemPlan(bench, [system.dir, hostile])), { code: 'invalid', message: /dev\/console/ });
    assert.ok(!fs.existsSync(path.join(scratch, 'made')));
  }));

  test('the first boot writes through links, and gets no further than the container', async () => {
    const canary = fs.mkdtempSync('/var/tmp/berth-canary-'); // a system clears its /tmp when it starts
    fs.chmodSync(canary, 0o777);
    fs.writeFileSync(path.join(canary, 'passwd'), 'canary\n');
    const layer = path.join(scratch, 'boot-links');
    for (const dir of ['etc', 'var/lib', 'home', `${canary.slice(1)}`]) fs.mkdirSync(path.join(layer, dir), { recursive: true, mode: 0o755 });
    const links = { 'etc/hostname': `${canary}/hostname`, 'etc/machine-id': `../../../../../../..${canary}/machine-id`, 'etc/hosts': '/proc/1/root/etc/hosts', 'etc/resolv.conf': `${canary}/resolv`, 'var/lib/berth': canary, 'home/bob': canary };
    for (const [name, target] of Object.entries(links)) fs.symlinkSync(target, path.join(layer, name));
    execFileSync('mkfifo', [path.join(layer, 'etc/sudoers.d-fifo')]);
    await withCrunBench(async (bench) => {
      const file = { path: `/etc/../..${canary}/written`.replace('/etc/../..', ''), mode: 0o644, owner: 'root', group: 'root', append: false, content: Buffer.from('x') };
      const { id } = await bootSystem(bench, [system.dir, layer], { boot: { users: [{ name: 'bob', gecos: '', home: '', shell: '', passwordHash: '', groups: [], sudo: [], keys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA x'] }], files: [file, { ...file, path: '/etc/sudoers.d-fifo' }], commands: [] } });
      const there = await inSystem(bench, id, `ls -A ${canary}; ls -A ${canary}/.ssh`);
      assert.match(there, /hostname[^]*instance[^]*machine-id[^]*written[^]*authorized_keys/, 'inside, the links were followed');
    });
    assert.deepEqual(fs.readdirSync(canary), ['passwd'], 'on the host, nothing came of it');
    assert.equal(fs.readFileSync(path.join(canary, 'passwd'), 'utf8'), 'canary\n');
    fs.rmSync(canary, { recursive: true });
  });

  test('the seed is read once: afterwards it is neither in the container nor beside the unit', () => withCrunBench(async (bench) => {
    const { id } = await bootSystem(bench, [system.dir], { boot: { users: [], files: [{ path: '/root/secret', mode: 0o600, owner: 'root', group: 'root', append: false, content: Buffer.from('s3cr3t-of-the-seed') }], commands: [] } });
    assert.equal(await inSystem(bench, id, 'cat /root/secret; ls /dev/.seed 2>/dev/null; grep -c seed /proc/mounts'), 's3cr3t-of-the-seed0\n');
    assert.ok(!fs.readFileSync(path.join(bench.runDir, 'i', id, 'config.json'), 'utf8').includes('s3cr3t'));
  }));
});

test('C06: a flood on the console stays within its ring', () => withSystem(async (inside, bench, { id }) => {
  await inside('timeout 3 yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa > /dev/console; true');
  await bench.driver.rotateLog(id);
  const bytes = (await bench.driver.logFiles(id)).reduce((sum, file) => sum + fs.statSync(file).size, 0);
  assert.ok(bytes > 0 && bytes < 4 * 1024 * 1024, String(bytes));
  assert.equal(await inside('systemctl is-system-running'), 'running\n');
}));
