/** Every field that an OS container honours, as its system sees it from inside; what docs/reference/fields.md says of it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';
import { until } from '../lib/until.ts';

describe('fields of an OS container, from inside', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
    const made = await berth(daemon, ['image', 'import', await systemArchive('systemd'), '--as', 'system'], { timeoutMs: 300_000 });
    assert.equal(made.code, 0, made.stderr);
    await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'second' }, spec: {} });
  }, { timeout: 900_000 });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const inside = async (name: string, script: string): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, ['exec', name, 'sh', '-c', script], { timeoutMs: 60_000 });
    assert.equal(code, 0, `${script}: ${stdout} ${stderr}`);
    return stdout.trim();
  };
  const launch = async (name: string, spec: Record<string, unknown>): Promise<void> => {
    await daemon.create(name, { image: 'system', mode: 'os', ...spec });
    await until(async () => (await daemon.instance(name)).status.health === 'healthy', { deadlineMs: 60_000, what: `'${name}' up` });
  };
  const remove = (name: string) => daemon.ok('DELETE', `/v1/projects/default/instances/${name}?force=1&waitMs=60000`);

  test('init, its arguments and environment; names; limits; mounts; networks', async () => {
    await launch('all', {
      entrypoint: ['/lib/systemd/systemd'], command: ['--log-level=info'], env: { GREETING: 'hello' }, hostname: 'called', memoryBytes: 256 * 1024 ** 2, pids: 300,
      ulimits: { nofile: { soft: 700, hard: 900 } }, shmBytes: 4 * 1024 ** 2, tmpfs: [{ target: '/scratch', sizeBytes: 1024 ** 2 }], volumes: [{ volume: 'v', target: '/data' }, { volume: 'r', target: '/fixed', readOnly: true }],
      networks: [{ name: 'default' }, { name: 'second' }], capabilities: { add: ['LINUX_IMMUTABLE'], drop: ['NET_RAW'] },
    });
    assert.equal(await inside('all', 'tr "\\0" " " < /proc/1/cmdline'), '/lib/systemd/systemd --log-level=info');
    assert.equal(await inside('all', 'tr "\\0" "\\n" < /proc/1/environ | grep -E "^(GREETING|container)=" | sort | tr "\\n" " "; echo $GREETING'), 'GREETING=hello container=oci hello');
    assert.equal(await inside('all', 'hostname; cat /etc/hostname; uname -n'), 'called\ncalled\ncalled');
    assert.equal(await inside('all', 'free -m | awk \'/Mem/ {print $2}\'; awk \'/open files/ {print $5}\' /proc/1/limits'), '256\n900', 'systemd raises the soft limit to the hard one');
    assert.equal(await inside('all', 'df --output=target,size /dev/shm /scratch | tail -2 | tr -s " "'), '/dev/shm 4096\n/scratch 1024');
    assert.equal(await inside('all', 'touch /data/x && echo wrote; touch /fixed/x 2>&1 | grep -o Read-only; awk \'$2 == "/" {print substr($4, 1, 2)}\' /proc/mounts'), 'wrote\nRead-only\nrw');
    const bounding = BigInt(`0x${await inside('all', 'awk \'/CapBnd/ {print $2}\' /proc/1/status')}`);
    const has = (bit: number): boolean => (bounding >> BigInt(bit) & 1n) === 1n;
    // CAP_NET_RAW, CAP_LINUX_IMMUTABLE, CAP_SYS_ADMIN, CAP_SYS_MODULE
    assert.deepEqual([has(13), has(9), has(21), has(16)], [false, true, true, false]);
    const { status } = await daemon.instance('all');
    assert.equal(await inside('all', 'ip -4 -o addr show scope global | awk \'{print $2, $4}\' | cut -d/ -f1'), `eth0 ${status.addresses.default[0]}\neth1 ${status.addresses.second[0]}`);
    assert.match(await inside('all', 'getent hosts all'), /all\.default\.berth/);
    assert.equal(await inside('all', 'i=0; while [ $i -lt 400 ]; do sleep 3 & i=$((i+1)); done 2>/dev/null; true').catch(() => 'refused'), 'refused', 'more processes than it may have');
    await remove('all');
  });

  test('cpus: half of one is half of the time', async () => {
    await launch('half', { cpus: 0.5, cpuWeight: 200 });
    const busy = Number(await inside('half', 'a=$(awk \'{print $14+$15}\' /proc/self/stat); timeout 2 sh -c "while :; do :; done"; cat /sys/fs/cgroup/cpu.stat 2>/dev/null | awk \'/usage_usec/ {print $2}\''));
    assert.ok(busy > 0);
    const before = Number(await inside('half', 'awk \'/usage_usec/ {print $2}\' /sys/fs/cgroup/cpu.stat'));
    await inside('half', 'timeout 2 sh -c "while :; do :; done" || true');
    const used = Number(await inside('half', 'awk \'/usage_usec/ {print $2}\' /sys/fs/cgroup/cpu.stat')) - before;
    assert.ok(used > 300_000 && used < 1_500_000, `${used} µs of CPU in two seconds`);
    assert.equal(await inside('half', 'grep -c ^processor /proc/cpuinfo'), '1');
    await remove('half');
  });

  test('stop signal and grace: what is asked for is sent, and who does not heed it is killed', async () => {
    await launch('stubborn', { stopSignal: 'SIGWINCH', stopGraceMs: 500 });
    const begin = performance.now();
    await daemon.ok('POST', '/v1/projects/default/instances/stubborn/stop?waitMs=60000');
    const { status } = await daemon.instance('stubborn');
    assert.deepEqual([status.state, status.reason, status.exitCode], ['stopped', 'killed', 137]);
    assert.ok(performance.now() - begin >= 500);
    await remove('stubborn');
  });

  test('restart no: an init that dies stays down; --rm: gone after its power-off, and not after a reboot', async () => {
    await launch('once', { restart: { policy: 'no' } });
    await daemon.ok('POST', '/v1/projects/default/instances/once/kill?signal=SIGKILL');
    assert.equal((await daemon.untilState('once', 'stopped')).status.reason, 'killed');
    await remove('once');
    await launch('short', { removeOnExit: true, restart: { policy: 'no' } });
    const { startedAt } = (await daemon.instance('short')).status;
    await berth(daemon, ['exec', 'short', 'reboot']);
    await until(async () => { const one = (await daemon.instance('short'))?.status; return one?.health === 'healthy' && one.startedAt !== startedAt; }, { deadlineMs: 60_000, what: 'its reboot' });
    await berth(daemon, ['exec', 'short', 'poweroff']);
    await until(async () => (await daemon.instance('short')) === undefined, { deadlineMs: 30_000, what: 'its removal' });
  });

  test('log: what the console said stays within its bound', async () => {
    await launch('loud', { log: { maxBytes: 65_536, maxFiles: 2 } });
    await inside('loud', 'seq 1 60000 > /dev/console');
    const { stdout } = await berth(daemon, ['logs', 'loud']);
    assert.ok(stdout.length < 4 * 65_536, String(stdout.length));
    assert.match(stdout, /60000/);
    await remove('loud');
  });
});
