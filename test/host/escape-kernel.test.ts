/** What a container may ask of the kernel: security.md A13, A18, A19, A20, B01, B06. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { execProcess, ociSpec } from '../../src/drivers/runtime/crun/oci-spec.ts';
import { DEFAULT_CAPABILITIES, withCrunBench, type CrunBench, type CrunBenchOptions } from '../lib/crun-bench.ts';
import { goesRed } from '../lib/red.ts';

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-probe-'));
const probe = path.join(scratch, 'probe');
execFileSync('gcc', ['-std=gnu17', '-O1', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-static', '-o', probe, path.join(import.meta.dirname, '../fixtures/syscall-probe.c')]);
after(() => { fs.rmSync(scratch, { recursive: true }); });

/** What an app container gets for each call. */
const EXPECTED: Readonly<Record<string, string>> = {
  ...Object.fromEntries([
    'unshare-user', 'unshare-net', 'setns', 'clone-user', 'clone-net', 'mount', 'umount2', 'pivot_root', 'fsopen', 'open_tree', 'move_mount', 'mount_setattr',
    'bpf', 'perf_event_open', 'io_uring_setup', 'keyctl', 'add_key', 'request_key', 'kexec_load', 'kexec_file_load', 'open_by_handle_at', 'userfaultfd',
    'init_module', 'finit_module', 'delete_module', 'reboot', 'swapon', 'swapoff', 'syslog', 'settimeofday', 'clock_settime', 'sethostname', 'setdomainname', 'acct',
    'quotactl', 'process_madvise', 'pidfd_getfd', 'kcmp', 'move_pages', 'migrate_pages', 'set_mempolicy', 'vhangup', 'fanotify_init', 'personality-no-randomize',
    'socket-alg', 'socket-vsock', 'socket-alg-high', 'socket-vsock-high', 'socket-raw', 'iopl', 'ioperm',
  ].map((name) => [name, 'EPERM'])),
  clone3: 'ENOSYS', 'personality-read': 'ok', 'socket-unix': 'ok', 'socket-inet': 'ok', getpid: 'ok',
  'x32-getpid': 'SIGSYS', 'i386-getpid': 'SIGSYS',
};

async function systemCalls(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    fs.copyFileSync(probe, path.join(bench.layer, 'bin/probe'));
    const keeper = bench.plan(['sleep', '1000']);
    await bench.driver.create(keeper);
    await bench.driver.start(keeper.id);
    // The second run is started from the compiled filter, the third is an exec.
    const outputs = [await bench.run(['probe'], { init: true }), await bench.run(['probe'], { init: true }), await bench.exec(keeper.id, ['probe'])];
    for (const { stdout } of outputs) {
      const seen = Object.fromEntries(stdout.trim().split('\n').map((line) => line.split(' ') as [string, string]));
      assert.deepEqual(seen, EXPECTED);
    }
  }, options);
}

test('A19: system calls', () => systemCalls({}));
test('A19 goes red without the filter', () => goesRed(() => systemCalls({ guards: { seccomp: () => undefined } })));

/** Reads and writes of each path from inside, as root and without. */
const SCRIPT = `
for p in "$@"; do
  r=$(head -c 16 "$p" 2>/dev/null | wc -c)
  [ -d "$p" ] && r=$(ls -A "$p" 2>/dev/null | wc -l)
  if [ -d "$p" ]; then w=$(touch "$p/x" 2>&1 || true); else w=$( { : >> "$p"; } 2>&1 || true); fi
  echo "$p read $r write \${w##*: }"
done`;

const EMPTY = [
  '/proc/kcore', '/proc/keys', '/proc/key-users', '/proc/timer_list', '/proc/sched_debug', '/proc/latency_stats', '/proc/interrupts', '/proc/acpi', '/proc/scsi', '/proc/asound',
  '/sys/firmware', '/sys/devices/virtual/powercap', '/sys/devices/system/cpu/cpu0/thermal_throttle', '/sys/fs/selinux', '/sys/kernel/debug', '/sys/kernel/security', '/sys/kernel/tracing',
];
const NETWORK_SETTING = '/proc/sys/net/ipv4/ip_default_ttl';
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', NETWORK_SETTING, '/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/sys/kernel/mm', '/sys/fs/cgroup/memory', '/sys/fs/cgroup/pids/tasks'];

async function hiddenPaths(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    const before = fs.readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
    const there = [...EMPTY, ...READ_ONLY].filter((one) => fs.existsSync(one));
    const { stdout, stderr } = await bench.run(['sh', '-c', SCRIPT, 'sh', ...there], { init: true, capabilities: [...DEFAULT_CAPABILITIES, 'CAP_NET_ADMIN'] });
    const lines = stdout.trim().split('\n');
    assert.equal(lines.length, there.length, stderr);
    for (const line of lines) {
      const [, file, read, write] = /^(\S+) read (\d+) write (.*)$/.exec(line)!;
      if (EMPTY.includes(file!)) assert.equal(read, '0', line);
      // A masked file is a null device: what is written to it goes nowhere.
      // Most is the host root's by owner too; what belongs to the network namespace is held by the mount alone.
      else assert.match(write!, file === NETWORK_SETTING ? /^Read-only file system$/ : /^(Read-only file system|No such file or directory|Permission denied)$/, line);
    }
    // What is hidden cannot be uncovered.
    const uncovered = await bench.run(['sh', '-c', 'umount /proc/keys; umount /proc/sys; mount -o remount,rw /sys; mount -o remount,rw,bind /proc/sys; cat /proc/keys | wc -c; { echo 65 > /proc/sys/net/ipv4/ip_default_ttl; } 2>/dev/null || echo held'], { capabilities: [...DEFAULT_CAPABILITIES, 'CAP_NET_ADMIN'] });
    assert.equal(uncovered.stdout, '0\nheld\n');
    assert.equal(fs.readFileSync('/proc/sys/kernel/core_pattern', 'utf8'), before);
  }, options);
}

test('B01: what is hidden of /proc and /sys, and what is read-only', () => hiddenPaths({}));
test('B01 goes red without the masks', () => goesRed(() => hiddenPaths({ guards: { maskedPaths: [] } })));
test('B01 goes red without the read-only paths', () => goesRed(() => hiddenPaths({ guards: { readOnlyPaths: [] } })));

type Shell = (script: string) => Promise<string>;

/** What the host's root sees, with the same words: for walls that are the kernel's own and cannot be taken away. */
const onTheHost: Shell = (script) => Promise.resolve(spawnSync('/bin/busybox', ['sh', '-c', script], { encoding: 'utf8' }).stdout);

async function kernelSecrets(sh: Shell): Promise<void> {
  assert.match(await sh('dmesg 2>&1 | head -1'), /^dmesg: klogctl: Operation not permitted\n$/);
  assert.equal(await sh('cut -d" " -f1 /proc/kallsyms | sort -u | head -3'), '0000000000000000\n');
  assert.equal(await sh('head -c1 /proc/kcore 2>/dev/null | wc -c; head -c1 /dev/kmsg 2>/dev/null | wc -c'), '0\n0\n');
}

test('B06: no kernel log, no kernel addresses, no kernel memory', () => withCrunBench(async (bench) => {
  const keeper = bench.plan(['sleep', '1000']);
  await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  await kernelSecrets(async (script) => (await bench.run(['sh', '-c', script])).stdout);
  await kernelSecrets(async (script) => (await bench.exec(keeper.id, ['sh', '-c', script])).stdout);
}));
test('B06 goes red where nothing holds: as root of the host', () => goesRed(() => kernelSecrets(onTheHost)));

async function capabilities(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    const keeper = bench.plan(['sleep', '1000']);
    await bench.driver.create(keeper);
    await bench.driver.start(keeper.id);
    const command = ['grep', '-E', 'Cap|NoNewPrivs|Seccomp:', '/proc/self/status'];
    const user = { uid: 1000, gid: 1000, additionalGids: [] };
    const root = [(await bench.run(command)).stdout, (await bench.exec(keeper.id, command)).stdout];
    const plain = [(await bench.run(command, { process: { user } })).stdout, (await bench.exec(keeper.id, command, { user })).stdout];
    for (const text of [...root, ...plain]) {
      assert.match(text, /CapInh:\t0{16}\n/);
      assert.match(text, /CapAmb:\t0{16}\n/);
      // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
      assert.match(text, /CapBnd:\t00000000800405fb\n/);
      assert.match(text, /NoNewPrivs:\t1\n/);
      assert.match(text, /Seccomp:\t2\n/);
    }
    for (const text of plain) assert.match(text, /CapPrm:\t0{16}\nCapEff:\t0{16}\n/);
  }, options);
}

test('A13: no inheritable or ambient capabilities, for run and exec', () => capabilities({}));
test('A13 goes red when run hands capabilities on', () => goesRed(() => capabilities({ guards: {
  spec(plan, around) {
    const spec = ociSpec(plan, around);
    const caps = spec.process.capabilities;
    return { ...spec, process: { ...spec.process, capabilities: { ...caps, inheritable: caps.permitted, ambient: caps.permitted } } };
  },
} })));
test('A13 goes red when exec hands capabilities on', () => goesRed(() => capabilities({ guards: {
  execProcess(plan, idCount) {
    const one = execProcess(plan, idCount);
    return { ...one, capabilities: { ...one.capabilities, inheritable: one.capabilities.permitted, ambient: one.capabilities.permitted } };
  },
} })));

async function userNamespaces(bench: CrunBench): Promise<void> {
  const bases: number[] = [];
  for (let count = 0; count < 2; count++) {
    const plan = bench.plan(['sh', '-c', 'cat /proc/self/uid_map /proc/self/gid_map; sleep 1000']);
    const { process: first } = await bench.driver.create(plan);
    await bench.driver.start(plan.id);
    const { stdout } = await bench.exec(plan.id, ['cat', '/proc/1/uid_map', '/proc/1/gid_map']);
    const maps = stdout.trim().split('\n').map((line) => line.trim().split(/\s+/).map(Number));
    assert.equal(maps.length, 2);
    for (const map of maps) assert.ok(map[0] === 0 && map[1]! >= 65_536 && map[2] === 65_536, stdout);
    bases.push(maps[0]![1]!);
    assert.equal(fs.statSync(`/proc/${first.pid}`).uid, maps[0]![1]);
    assert.notEqual(fs.readlinkSync(`/proc/${first.pid}/ns/user`), fs.readlinkSync('/proc/self/ns/user'));
  }
  assert.ok(Math.abs(bases[0]! - bases[1]!) >= 65_536, `${bases.join()} overlap`);
}

test('A18: every container has a user namespace and an id range of its own', () => withCrunBench(userNamespaces));
test('A18: without the namespace nothing starts, because the root file system is shown under the container’s ids', () => withCrunBench(
  (bench) => assert.rejects(bench.driver.create(bench.plan(['true'])), /could not start/),
  { guards: {
    spec(plan, around) {
      const spec = ociSpec(plan, around);
      return { ...spec, linux: { ...spec.linux, uidMappings: [], gidMappings: [], namespaces: spec.linux.namespaces.filter(({ type }) => type !== 'user') } };
    },
  } },
));

const DEVICES = ['core', 'fd', 'full', 'mqueue', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero'];

async function harmlessDevices(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    assert.deepEqual((await bench.run(['ls', '-A', '/dev'])).stdout.trim().split(/\s+/), ['.init', ...DEVICES]);
    const withTerminal = await bench.run(['ls', '-A', '/dev'], { process: { terminal: true } });
    assert.deepEqual(withTerminal.stdout.trim().split(/\s+/).sort(), ['.init', 'console', ...DEVICES]);
    // Our own program: a file, and not the instance's to change or to put another in its place.
    assert.equal((await bench.run(['sh', '-c', 'test -f /dev/.init && echo file; (echo x >> /dev/.init) 2>/dev/null && echo written; rm -f /dev/.init 2>/dev/null; mv /dev/.init /dev/x 2>/dev/null; test -f /dev/.init && echo there'])).stdout, 'file\nthere\n');
    // It leads to /proc/kcore, which is not there, or empty.
    assert.equal((await bench.run(['sh', '-c', 'head -c1 /dev/core 2>/dev/null | wc -c; echo x > /dev/null && head -c4 /dev/zero | wc -c'])).stdout, '0\n4\n');
  }, options);
}

test('A20: only harmless devices are there', () => harmlessDevices({}));
test('A20 goes red with one device more', () => goesRed(() => harmlessDevices({ guards: {
  spec(plan, around) {
    const spec = ociSpec(plan, around);
    const kmsg = { path: '/dev/kmsg', type: 'c', major: 1, minor: 11, fileMode: 0o666, uid: 0, gid: 0 };
    return { ...spec, linux: { ...spec.linux, devices: [kmsg] as unknown as typeof spec.linux.devices } };
  },
} })));

/** `dir` has the node `kmsg` already; another is tried beside it. */
async function uselessNodes(sh: Shell, dir: string): Promise<void> {
  assert.equal(await sh(`mknod ${dir}/s b 8 0 2>/dev/null && echo made; mknod ${dir}/n c 1 3 2>/dev/null && echo made; head -c1 ${dir}/kmsg >/dev/null 2>&1 && echo opened`), '');
}

test('A20: no device can be made, and one of the image cannot be opened, whatever the capabilities', () => withCrunBench(async (bench) => {
  const keeper = bench.plan(['sleep', '1000'], { capabilities: ['CAP_MKNOD', 'CAP_DAC_OVERRIDE', 'CAP_CHOWN'] });
  fs.mkdirSync(path.join(bench.layer, 'nodes'), { mode: 0o777 });
  // The unpacker refuses a node in a layer, and yet it must not work.
  execFileSync('mknod', ['-m', '666', path.join(bench.layer, 'nodes/kmsg'), 'c', '1', '11']);
  await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  await uselessNodes(async (script) => (await bench.run(['sh', '-c', script], { capabilities: keeper.capabilities })).stdout, '/nodes');
  await uselessNodes(async (script) => (await bench.exec(keeper.id, ['sh', '-c', script], { capabilities: keeper.capabilities })).stdout, '/nodes');
  await uselessNodes(async (script) => (await bench.run(['sh', '-c', script], { capabilities: keeper.capabilities, tmpfs: [{ target: '/made', sizeBytes: 65_536 }] })).stdout, '/made');
}));
test('A20 goes red where nothing holds: as root of the host', async () => {
  const dir = path.join(scratch, 'nodes');
  fs.mkdirSync(dir);
  execFileSync('mknod', [path.join(dir, 'kmsg'), 'c', '1', '3']); // harmless, and yet opened
  await goesRed(() => uselessNodes(onTheHost, dir));
});

/** Annotations that make crun 1.8.1 write a file of the host, drop the filter, or run something else. */
const HOSTILE_ANNOTATIONS = ['run.oci.hooks.stdout=/etc/cron.d/x', 'run.oci.seccomp_bpf_data=AAAA', 'run.oci.handler=krun', 'run.oci.keep_original_groups=1', 'org.criu.config=/x', 'module.wasm.image/variant=compat'];

async function ownAnnotationsOnly(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    const plan = bench.plan(['grep', 'Seccomp:', '/proc/self/status', ...HOSTILE_ANNOTATIONS], { hostname: 'inside', process: { env: ['PATH=/bin', ...HOSTILE_ANNOTATIONS] } });
    await bench.driver.create(plan);
    const config = JSON.parse(fs.readFileSync(path.join(bench.runDir, 'i', plan.id, 'config.json'), 'utf8')) as { annotations: Record<string, string>; process: { env: string[] } };
    assert.deepEqual(Object.keys(config.annotations).filter((key) => key !== 'run.oci.seccomp_bpf_data'), []);
    assert.notEqual(config.annotations['run.oci.seccomp_bpf_data'], 'AAAA');
    for (const one of HOSTILE_ANNOTATIONS) assert.ok(config.process.env.includes(one), 'it is an environment variable, and nothing else');
  }, options);
}

test('A16: no annotation but our own reaches the runtime, whatever the plan says', () => ownAnnotationsOnly({}));
test('A16 goes red when what looks like an annotation is made one', () => goesRed(() => ownAnnotationsOnly({ guards: {
  spec(plan, around) {
    const spec = ociSpec(plan, around);
    const forwarded = Object.fromEntries(plan.process.env.filter((one) => one.startsWith('run.oci.handler') || one.startsWith('org.criu')).map((one) => one.split('=', 2) as [string, string]));
    return { ...spec, annotations: { ...spec.annotations, ...forwarded } as typeof spec.annotations };
  },
} })));
test('A16: what is at stake: with an annotation from outside the filter is another one', () => goesRed(() => withCrunBench(async (bench) => {
  fs.copyFileSync(probe, path.join(bench.layer, 'bin/probe'));
  const { stdout } = await bench.run(['probe']);
  assert.match(stdout, /^io_uring_setup EPERM$/m);
}, { guards: {
  spec(plan, around) {
    const spec = ociSpec(plan, around);
    // BPF_RET | BPF_K, SECCOMP_RET_ALLOW
    const allowAll = Buffer.from([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]).toString('base64');
    return { ...spec, annotations: { 'run.oci.seccomp_bpf_data': allowAll }, linux: { ...spec.linux, seccomp: undefined } } as unknown as typeof spec;
  },
} })));
