/** What is around a container: runtime, monitor, sockets, streams. security.md A01, A12, A21, A22, and the host's /dev/null. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { execProcess, ociSpec } from '../../src/drivers/runtime/crun/oci-spec.ts';
import { libc, mount, MS_BIND } from '../../src/host/libc.ts';
import { BerthError } from '../../src/model/errors.ts';
import { withCrunBench, type CrunBench, type CrunBenchOptions } from '../lib/crun-bench.ts';
import { goesRed } from '../lib/red.ts';

const CRUN = fs.realpathSync('/usr/bin/crun');
const hashOf = (file: string): string => crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex');

/**
 * The attack of CVE-2019-5736: the image's “dynamic loader” is a program, which runs as /proc/self/exe = crun. It keeps a
 * descriptor of that file, becomes something else, and opens the file for writing when nobody executes it any more.
 */
const LOADER = `
#define CALL(n, a, b, c) ({ long r; __asm__ volatile("syscall" : "=a"(r) : "a"((long)(n)), "D"((long)(a)), "S"((long)(b)), "d"((long)(c)) : "rcx", "r11", "memory"); r; })
static const char *argv[] = {"sh", "-c", "i=0; while [ $i -lt 100 ]; do i=$((i+1)); if { echo -n >> /proc/self/fd/9; } 2>/dev/null; then echo WRITABLE; exit; fi; usleep 2000; done; { echo -n >> /proc/self/fd/9; } 2>&1", 0};
static const char *envp[] = {"PATH=/bin", 0};
void _start(void) {
  long fd = CALL(2, "/proc/self/exe", 0, 0);
  if (fd < 0) { CALL(1, 1, "no exe\\n", 7); CALL(60, 1, 0, 0); }
  CALL(33, fd, 9, 0);
  CALL(59, "/bin/busybox", argv, envp);
  CALL(60, 2, 0, 0);
}`;

async function overwriting(options: CrunBenchOptions): Promise<void> {
  const before = hashOf(CRUN);
  await withCrunBench(async (bench) => {
    fs.mkdirSync(path.join(bench.layer, 'lib64'));
    execFileSync('gcc', ['-O1', '-w', '-static', '-nostdlib', '-ffreestanding', '-fno-pic', '-no-pie', '-Wl,-Ttext-segment=0x10000000', '-x', 'c', '-o', path.join(bench.layer, 'lib64/ld-linux-x86-64.so.2'), '-'], { input: LOADER });
    const outcome = await bench.run(['/proc/self/exe']);
    // Two walls: the file is not the container root's, and where crun runs it lies read-only whoever asks.
    assert.match(outcome.stdout, /Permission denied|Read-only file system/, JSON.stringify(outcome));
    const keeper = bench.plan(['sleep', '1000']);
    const { monitor } = await bench.driver.create(keeper);
    const mounts = fs.readFileSync(`/proc/${monitor.pid}/mountinfo`, 'utf8').split('\n').map((line) => line.split(' '));
    assert.match(mounts.find((fields) => fields[4] === CRUN)?.[5] ?? 'no mount', /^ro,/);
  }, options);
  assert.equal(hashOf(CRUN), before);
}

test('A01: the runtime cannot be written through /proc/self/exe', () => overwriting({}));
test('A01 goes red when crun lies writable', () => goesRed(() => overwriting({ guards: { bindRuntime: () => undefined } })));

const isInvalid = (error: unknown): boolean => error instanceof BerthError && error.code === 'invalid';
/** Numbers that some reader of a number takes for another one: 2³² wraps to 0, 2³²−1 means “leave it”. */
const ODD_IDS = [4294967296, 4294967295, 2147483648, 65_536, -1, 0.5, Number.NaN, '0' as unknown as number];

async function execAsAsked(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    const keeper = bench.plan(['sleep', '1000']);
    await bench.driver.create(keeper);
    await bench.driver.start(keeper.id);
    for (const uid of [0, 1, 1000, 65_535]) {
      assert.equal((await bench.exec(keeper.id, ['id', '-u'], { user: { uid, gid: uid, additionalGids: [] } })).stdout, `${uid}\n`);
      assert.equal((await bench.run(['id', '-g'], { process: { user: { uid, gid: uid, additionalGids: [] } } })).stdout, `${uid}\n`);
    }
  }, options);
}

async function oddIdsRefused(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    const keeper = bench.plan(['sleep', '1000']);
    await bench.driver.create(keeper);
    await bench.driver.start(keeper.id);
    for (const id of ODD_IDS) {
      for (const user of [{ uid: id, gid: 0, additionalGids: [] }, { uid: 0, gid: id, additionalGids: [] }, { uid: 0, gid: 0, additionalGids: [id] }]) {
        await assert.rejects(bench.exec(keeper.id, ['id'], { user }), isInvalid);
        await assert.rejects(bench.driver.create(bench.plan(['id'], { process: { user } })), isInvalid);
      }
    }
  }, options);
}

const NOBODY_ASKED = { uid: 0, gid: 0, additionalGids: [] };
test('A12: exec and run run as the user that was asked for', () => execAsAsked({}));
// What crun 1.19–1.26 make of `exec --user 1` (CVE-2026-30892): 0:0.
test('A12 goes red when an exec’s user is lost on the way', () => goesRed(() => execAsAsked({ guards: { execProcess: (plan, idCount) => execProcess({ ...plan, user: NOBODY_ASKED }, idCount) } })));
test('A12 goes red when the first process’s user is lost on the way', () => goesRed(() => execAsAsked({ guards: { spec: (plan, around) => ociSpec({ ...plan, process: { ...plan.process, user: NOBODY_ASKED } }, around) } })));
test('A12: no other number passes', () => oddIdsRefused({}));
test('A12 goes red when an exec’s numbers are handed on unchecked', () => goesRed(() => oddIdsRefused({ guards: {
  execProcess: (plan, idCount) => ({ ...execProcess({ ...plan, user: NOBODY_ASKED }, idCount), user: { ...plan.user, umask: 0o022 } }),
} })));

test('A12: user, rights and command of an exec are on nobody’s command line', () => withCrunBench(async (bench) => {
  const keeper = bench.plan(['sleep', '1000']);
  await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  const session = await bench.driver.exec(keeper.id, { ...keeper.process, args: ['sleep', '54321'], env: ['PATH=/bin', 'SECRET=hush-54321'], stdin: false, noNewPrivileges: true, capabilities: [] });
  const outside = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return { exe: fs.readlinkSync(`/proc/${pid}/exe`), text: fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') + fs.readFileSync(`/proc/${pid}/environ`, 'utf8') };
    } catch {
      return { exe: '', text: '' };
    }
  });
  const tools = outside.filter(({ exe }) => /crun|conmon|berth-native/.test(exe));
  assert.ok(tools.length > 0);
  assert.ok(tools.every(({ text }) => !text.includes('54321')));
  await session.close();
}));

async function outOfSight(options: CrunBenchOptions): Promise<void> {
  await withCrunBench(async (bench) => {
    const keeper = bench.plan(['sleep', '1000']);
    const { monitor } = await bench.driver.create(keeper);
    await bench.driver.start(keeper.id);
    const { stdout } = await bench.exec(keeper.id, ['sh', '-c', 'for p in /proc/[0-9]*; do cat $p/cmdline | tr "\\0" " "; echo; done']);
    assert.ok(stdout.includes('sleep 1000'), stdout);
    assert.ok(stdout.split('\n').every((line) => !/conmon|crun|berth/.test(line)), stdout);
    assert.equal((await bench.exec(keeper.id, ['sh', '-c', `kill -0 ${monitor.pid} 2>&1; ls -d /proc/${monitor.pid} 2>&1`])).stdout.match(/No such/g)?.length, 2);
  }, options);
}

test('A21: inside there is nothing but the container: no monitor, no runtime', () => outOfSight({}));
test('A21 goes red without a process namespace of its own', () => goesRed(() => outOfSight({ guards: {
  spec(plan, around) {
    const spec = ociSpec(plan, around);
    const shown = spec.mounts.map((one) => (one.destination === '/proc' ? { ...one, type: 'bind', source: '/proc', options: ['rbind', 'nosuid', 'noexec', 'nodev'] } : one));
    return { ...spec, mounts: shown, linux: { ...spec.linux, maskedPaths: [], readonlyPaths: [], namespaces: spec.linux.namespaces.filter(({ type }) => type !== 'pid') } };
  },
} })));

test('A21: a signal to everybody ends nobody but the container’s own, and not its PID 1', () => withCrunBench(async (bench) => {
  const keeper = bench.plan(['sleep', '1000']);
  const { monitor } = await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  await bench.exec(keeper.id, ['sh', '-c', 'kill -9 -1; kill -STOP 1']);
  assert.ok(fs.existsSync(`/proc/${monitor.pid}`));
  assert.equal((await bench.driver.observe(keeper.id)).state, 'running', 'PID 1 does not take signals of its children');
}));

/** Abstract sockets belong to a network namespace, not to a directory: whoever is in it connects (CVE-2020-15257). */
function assertSocketsOutOfReach(bench: CrunBench, id: string): void {
  const sockets = fs.readFileSync('/proc/net/unix', 'utf8').split('\n').map((line) => line.split(/\s+/)[7] ?? '');
  const ours = sockets.filter((name) => name.includes(bench.rootTag) || name.includes(bench.runDir) || name.includes(id) || /^@.*conmon/.test(name));
  assert.ok(ours.length > 0, 'none of ours is found');
  assert.ok(ours.every((name) => name.startsWith('/')), ours.join());
  assert.ok(!sockets.some((name) => name.startsWith('/tmp/conmon-term')), 'conmon’s console socket lies in the unit’s directory');
  for (const dir of ['i', 'crun', 'exits', `i/${id}`]) assert.equal(fs.statSync(path.join(bench.runDir, dir)).mode & 0o077, 0, dir);
  assert.equal(fs.statSync(path.join(bench.runDir, 'i', id, 'attach')).mode & 0o077, 0);
}

test('A22: sockets are paths in directories that nobody else may enter; an abstract or an open one is found out', () => withCrunBench(async (bench) => {
  const keeper = bench.plan(['sleep', '1000'], { process: { terminal: true } });
  await bench.driver.create(keeper);
  await bench.driver.start(keeper.id);
  const session = await bench.driver.exec(keeper.id, { ...keeper.process, args: ['sleep', '1000'], terminal: true, stdin: true, noNewPrivileges: true, capabilities: [] });
  assertSocketsOutOfReach(bench, keeper.id);

  const abstract = net.createServer();
  await new Promise<void>((resolve) => { abstract.listen(`\0berth-${bench.rootTag}/attach`, resolve); });
  assert.throws(() => { assertSocketsOutOfReach(bench, keeper.id); }, assert.AssertionError);
  await new Promise((resolve) => { abstract.close(resolve); });
  assertSocketsOutOfReach(bench, keeper.id);

  for (const open of ['i', `i/${keeper.id}`, `i/${keeper.id}/attach`]) {
    const { mode } = fs.statSync(path.join(bench.runDir, open));
    fs.chmodSync(path.join(bench.runDir, open), 0o755);
    assert.throws(() => { assertSocketsOutOfReach(bench, keeper.id); }, assert.AssertionError, open);
    fs.chmodSync(path.join(bench.runDir, open), mode & 0o7777);
  }
  await session.close();
}));

const mknod = libc('int mknod(const char *path, unsigned int mode, unsigned long device)');

/** Is the host's /dev/null (or what stands for it) still root's after it was somebody's standard input? */
async function standardStreams(bindOver: boolean): Promise<void> {
  let hostNull = '';
  await withCrunBench(async (bench) => {
    hostNull = path.join(bench.rootDir, 'host-null');
    mknod(hostNull, fs.constants.S_IFCHR | 0o666, 0x103);
    const keeper = bench.plan(['sleep', '1000']);
    const range = await bench.driver.create(keeper).then(({ process: first }) => fs.statSync(`/proc/${first.pid}`).uid);
    await bench.driver.start(keeper.id);
    await bench.exec(keeper.id, ['true']);
    for (const file of ['/dev/null', hostNull]) assert.notEqual(fs.statSync(file).uid, range, `${file} was given to the container`);
    assert.match((await bench.exec(keeper.id, ['sh', '-c', 'readlink /proc/self/fd/0; echo x > /proc/self/fd/0 && echo ok; echo again > /dev/stderr || echo refused'])).stdout, /null\nok\n/);
  }, bindOver ? { guards: {
    // What would happen with the host's own: a device that the host sees too.
    nullDevice(file) {
      fs.writeFileSync(file, '');
      mount(hostNull, file, null, MS_BIND);
    },
  } } : {});
}

test('the host’s /dev/null stays the host’s, and streams can be opened anew inside', () => standardStreams(false));
test('the host’s /dev/null goes red without a null device of the unit’s own', () => goesRed(() => standardStreams(true)));
