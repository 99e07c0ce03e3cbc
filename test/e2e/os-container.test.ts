/** OS containers from end to end: a Debian with systemd as its init, made its own, used, restarted, adopted and taken away. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { runningPrograms } from '../../src/host/socket-owner.ts';
import { startCli } from '../lib/cli-process.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { systemArchive } from '../lib/debian-images.ts';
import { until } from '../lib/until.ts';

describe('OS containers', () => {
  let daemon: TestDaemon;
  let count = 0;
  before(async () => {
    daemon = await TestDaemon.start();
    const made = await berth(daemon, ['image', 'import', await systemArchive('systemd'), '--as', 'system'], { timeoutMs: 300_000 });
    assert.equal(made.code, 0, made.stderr);
  }, { timeout: 900_000 });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await berth(daemon, args, { timeoutMs: 120_000 });
    assert.equal(code, 0, `berth ${args.join(' ')}: ${code}\n${stdout}\n${stderr}\n${daemon.log.slice(-2000)}`);
    return stdout;
  };
  const inside = async (name: string, script: string): Promise<string> => (await ok('exec', name, 'sh', '-c', script)).trim();
  const userDataFile = (text: string): string => {
    const file = path.join(daemon.base, `user-data-${++count}`);
    fs.writeFileSync(file, text);
    return file;
  };
  const booted = (name: string, sinceStart?: string): Promise<any> => until(async () => {
    const { status } = await daemon.instance(name);
    return status.health === 'healthy' && status.startedAt !== sinceStart ? status : undefined;
  }, { deadlineMs: 60_000, what: `'${name}' up` });
  const rm = (name: string) => ok('rm', '-f', name);

  test('launch waits until systemd says running; no unit failed, none was masked', async () => {
    assert.equal(await ok('launch', 'system', 'first'), 'first\n');
    assert.equal(await inside('first', 'systemctl is-system-running'), 'running');
    assert.equal(await inside('first', 'systemctl --failed --no-legend'), '');
    assert.equal(await inside('first', 'find /etc/systemd/system /run/systemd/system -lname /dev/null'), '');
    const { status } = await daemon.instance('first');
    assert.deepEqual([status.state, status.form, status.boundary, status.health], ['running', 'osContainer', 'kernel', 'healthy']);
    assert.match(await ok('list'), /^first +OS container +running +kernel/m);
    await rm('first');
  });

  test('each is its own: host name, machine id, host keys, boot id; none is the image’s', async () => {
    await ok('launch', 'system', 'one');
    await ok('launch', 'system', 'two', '--hostname', 'zwei');
    const facts = (name: string) => inside(name, 'hostname; cat /etc/hostname /etc/machine-id /proc/sys/kernel/random/boot_id; cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub; getent hosts $(hostname) >/dev/null && echo known');
    const [one, two] = [(await facts('one')).split('\n'), (await facts('two')).split('\n')];
    assert.deepEqual([one[0], one[1], two[0], two[1]], ['one', 'one', 'zwei', 'zwei']);
    for (const at of [2, 3, 4]) assert.notEqual(one[at], two[at], `line ${at}: ${one[at]}`);
    assert.match(one[2]!, /^[0-9a-f]{32}$/);
    assert.notEqual(one[3], fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
    assert.equal(one[5], 'known');
    for (const name of ['one', 'two']) await rm(name);
  });

  test('user data: users with keys and sudo, files, commands once the system is up, once in its life', async () => {
    const key = path.join(daemon.base, 'key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', key]);
    const file = userDataFile(`#cloud-config
hostname: named
users:
  - name: bob
    gecos: Bob B
    groups: [adm, made]
    sudo: ALL=(ALL) NOPASSWD:ALL
    ssh_authorized_keys: ["${fs.readFileSync(`${key}.pub`, 'utf8').trim()}"]
write_files:
  - {path: /bin/hello, permissions: "0755", content: "#!/bin/sh\\necho hello\\n"}
  - {path: /srv/deep/file, owner: "bob:adm", encoding: b64, content: aGkK}
runcmd:
  - systemctl is-system-running > /root/state
  - [sh, -c, "echo again >> /root/times"]
`);
    await ok('launch', 'system', 'ud', '--user-data', file);
    assert.equal(await inside('ud', 'hostname; hello; cat /srv/deep/file; stat -c "%U:%G" /srv/deep/file; test -L /bin && echo link'), 'named\nhello\nhi\nbob:adm\nlink');
    const address = (await daemon.instance('ud')).status.addresses.default[0] as string;
    const ssh = (command: string) => daemon.fromTheHost(['ssh', '-i', key, '-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${daemon.base}/known`, '-o', 'LogLevel=ERROR', `bob@${address}`, command]);
    assert.match(await ssh('id -un; id -Gn; sudo id -u; sed -n "s/^0:://p" /proc/self/cgroup'), /^bob\nbob adm made\n0\n\/user\.slice\/user-1000\.slice\/session-\d+\.scope\n$/);
    await until(async () => (await inside('ud', 'cat /root/times 2>/dev/null || true')) === 'again', { deadlineMs: 30_000, what: 'the commands of the first boot' });
    assert.equal(await inside('ud', 'cat /root/state'), 'running');
    await ok('restart', 'ud');
    await booted('ud');
    assert.equal(await inside('ud', 'cat /root/times; grep -c ^bob: /etc/passwd; ls /dev/.seed 2>/dev/null | wc -l'), 'again\n1\n0');
    const listed = await ok('list', '-o', 'json');
    assert.ok(!listed.includes('bob'), 'user data is in no list');
    await rm('ud');
  });

  test('what a form or an image cannot do is refused with its reason', async () => {
    const refused = async (args: string[], said: RegExp) => {
      const { code, stderr } = await berth(daemon, ['launch', ...args, 'system', 'no']);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(stderr, said);
    };
    await refused(['--user', '33'], /user cannot be had with an OS container: An init is root/);
    await refused(['--read-only'], /readOnlyRoot cannot be had/);
    await refused(['--user-data', userDataFile('#cloud-config\npackages: [nginx]\n')], /no cloud-init/);
    const { status, body } = await daemon.request('POST', '/v1/projects/default/instances', { meta: { name: 'no' }, spec: { image: 'system', mode: 'os', userData: { packages: ['nginx'] } } });
    assert.equal(status, 400);
    assert.match(body.detail, /Berth installs nothing in a running system/);
    const app = await berth(daemon, ['run', '--user-data', userDataFile('#cloud-config\nhostname: x\n'), 'system', 'true']);
    assert.match(app.stderr, /An application has no first boot/);
    assert.equal(await ok('list', '-a', '-q'), '');
  });

  test('stop powers it off; what was written and what was logged is there at the next start', async () => {
    await ok('launch', 'system', 'kept');
    await inside('kept', 'echo mine > /root/file; systemctl disable -q --now ssh; logger -t test said-before');
    const started = performance.now();
    await ok('stop', 'kept');
    assert.ok(performance.now() - started < 20_000, 'it was not killed at the end of its grace');
    const { status } = await daemon.instance('kept');
    assert.deepEqual([status.state, status.reason, status.exitCode], ['stopped', 'poweroff', 0]);
    await ok('start', 'kept');
    await booted('kept');
    assert.equal(await inside('kept', 'cat /root/file; systemctl is-enabled ssh || true; systemctl is-system-running'), 'mine\ndisabled\nrunning');
    assert.match(await inside('kept', 'journalctl -b -1 -t test --no-pager -o cat'), /said-before/);
    await rm('kept');
  });

  test('reboot from inside and outside is no failure; power-off from inside stays off', async () => {
    await ok('launch', 'system', 'again');
    const first = (await daemon.instance('again')).status;
    const keys = await inside('again', 'cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id');
    await ok('exec', 'again', 'reboot');
    const second = await booted('again', first.startedAt);
    assert.deepEqual([second.restarts, second.pid === first.pid, second.addresses], [0, false, first.addresses]);
    await ok('restart', 'again');
    const third = await booted('again', second.startedAt);
    assert.equal(third.restarts, 0);
    assert.equal(await inside('again', 'cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id'), keys, 'the same system');
    await ok('exec', 'again', 'poweroff');
    const off = await daemon.untilState('again', 'stopped');
    assert.deepEqual([off.status.reason, off.status.exitCode], ['poweroff', 0]);
    assert.match(await ok('events'), /'again' reboots\.[^]*'again' powered itself off\./);
    await rm('again');
  });

  test('an init that dies is restarted by the policy, and that counts', async () => {
    await ok('launch', 'system', 'dies');
    const { status } = await daemon.instance('dies');
    await ok('kill', 'dies');
    const next = await booted('dies', status.startedAt);
    assert.equal(next.restarts, 1);
    await rm('dies');
  });

  test('kill -9 of the daemon: the system runs on and is adopted; a reboot while nobody looks is made up for', async () => {
    await ok('launch', 'system', 'stays');
    const { status } = await daemon.instance('stays');
    await inside('stays', 'systemd-run -q --unit=later sh -c "while [ ! -e /run/go ]; do sleep 0.1; done; reboot"');
    await daemon.restart();
    const adopted = (await daemon.instance('stays')).status;
    assert.deepEqual([adopted.state, adopted.pid, adopted.health], ['running', status.pid, 'healthy']);
    await inside('stays', 'touch /run/go');
    await daemon.kill();
    await until(() => !fs.existsSync(`/proc/${status.pid}/ns`) || !alive(status.pid), { deadlineMs: 30_000, what: 'its end without a daemon' });
    await daemon.up();
    const back = await booted('stays', status.startedAt);
    assert.notEqual(back.pid, status.pid);
    await rm('stays');
  });

  test('after a power cut it comes back as it was: all processes gone, nothing in the run directory', async () => {
    await ok('launch', 'system', 'cut');
    await inside('cut', 'echo mine > /root/file; sync');
    const { status } = await daemon.instance('cut');
    const id = (await inside('cut', 'cat /etc/machine-id'));
    await daemon.kill();
    for (const pid of [status.monitorPid, status.pid]) process.kill(pid, 'SIGKILL');
    await until(() => !alive(status.pid), { what: 'its end' });
    for (const dir of ['i', 'crun', 'exits']) fs.rmSync(path.join(daemon.runDir, dir), { recursive: true, force: true });
    await daemon.up();
    const back = await booted('cut', status.startedAt);
    assert.deepEqual(back.addresses, status.addresses);
    assert.equal(await inside('cut', 'cat /root/file /etc/machine-id; systemctl is-system-running'), `mine\n${id}\nrunning`);
    await rm('cut');
  });

  test('F01, F03: a system that takes another MAC or address reaches nobody, and with its own everybody again', async () => {
    await ok('network', 'create', 'walls');
    for (const name of ['spoofer', 'neighbour']) await ok('launch', '--network', 'walls', 'system', name);
    const [mine, other] = await Promise.all(['spoofer', 'neighbour'].map(async (name) => (await daemon.instance(name)).status.ports[0] as { ipv4: string; mac: string }));
    const reaches = async () => (await berth(daemon, ['exec', 'spoofer', 'ping', '-c1', '-W1', other!.ipv4], { timeoutMs: 30_000 })).code === 0;
    assert.equal(await reaches(), true);
    await inside('spoofer', 'ip link set eth0 address 02:00:00:00:00:99');
    assert.equal(await reaches(), false, 'another MAC');
    await inside('spoofer', `ip link set eth0 address ${mine!.mac}`);
    assert.equal(await reaches(), true);
    const free = mine!.ipv4.replace(/\d+$/, '77');
    await inside('spoofer', `ip -4 addr flush dev eth0; ip addr add ${free}/20 dev eth0; ip -4 -o addr show eth0 | grep -q ${free}`);
    assert.equal(await reaches(), false, 'another address');
    await inside('spoofer', `ip -4 addr flush dev eth0; ip addr add ${mine!.ipv4}/20 dev eth0`);
    assert.equal(await reaches(), true);
    for (const name of ['spoofer', 'neighbour']) await rm(name);
    await ok('network', 'delete', 'walls');
  });

  test('the console: a login prompt, a password, a shell; leaving leaves it running', async () => {
    // openssl passwd -6 -salt saltsalt secret
    const hash = execFileSync('openssl', ['passwd', '-6', '-salt', 'saltsalt', 'secret'], { encoding: 'utf8' }).trim();
    await ok('launch', 'system', 'con', '--user-data', userDataFile(`#cloud-config\nusers:\n  - {name: eve, lock_passwd: false, passwd: "${hash}"}\n`));
    const { child, ended } = startCli('node', `unix:${daemon.socketPath}`, ['console', 'con'], { terminal: true });
    let seen = '';
    child.stdout!.on('data', (chunk: Buffer) => { seen += chunk.toString(); });
    const expectThen = async (wanted: RegExp, answer: string) => {
      await until(() => wanted.test(seen), { deadlineMs: 30_000, what: `${wanted} on the console; it said ${JSON.stringify(seen.slice(-300))}` });
      seen = '';
      child.stdin!.write(answer);
    };
    await until(async () => (await inside('con', 'pgrep -c agetty || true')) !== '0', { deadlineMs: 30_000, what: 'a getty' });
    child.stdin!.write('\r');
    await expectThen(/login: $/, 'eve\r');
    await expectThen(/Password: $/, 'secret\r');
    await expectThen(/\$ $/, 'id -un; stty size; tty\r');
    await expectThen(/eve\r\n[1-9]\d* \d+\r\n\/dev\/(console|pts\/0)\r\n/, '\x10\x11');
    assert.equal((await ended).code, 0);
    assert.equal((await daemon.instance('con')).status.state, 'running');
    assert.match(await ok('logs', 'con'), /con login: eve/);
    await rm('con');
  });

  test('sshd is reached by name from a system beside it, and through a published port', async () => {
    await ok('network', 'create', 'lab');
    await ok('launch', '--network', 'lab', 'system', 'client');
    await inside('client', 'mkdir -p /root/.ssh; ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519');
    const key = await inside('client', 'cat /root/.ssh/id_ed25519.pub');
    await ok('launch', '--network', 'lab', '-p', '2222:22', '--user-data', userDataFile(`#cloud-config\nssh_authorized_keys: ["${key}"]\n`), 'system', 'server');
    assert.equal(await inside('client', 'ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR root@server hostname'), 'server');
    const banner = await daemon.fromTheHost(['ssh-keyscan', '-p', '2222', '-t', 'ed25519', '127.0.0.1']);
    assert.match(banner, new RegExp((await inside('server', 'cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub')).replaceAll(/[+/]/g, '\\$&')));
    for (const name of ['server', 'client']) await rm(name);
    await ok('network', 'delete', 'lab');
  });

  test('free, uptime and the processors inside are its own; the daemon’s end takes nothing of them', async () => {
    await ok('launch', 'system', 'values', '-m', '300m', '--cpus', '1');
    const values = () => inside('values', 'free -m | awk \'/Mem/ {print $2}\'; grep -c ^processor /proc/cpuinfo; cut -d. -f1 /proc/uptime; cut -d" " -f1 /proc/loadavg');
    const [memory, processors, uptime, load] = (await values()).split('\n').map(Number);
    assert.deepEqual([memory, processors], [300, 1]);
    assert.ok(uptime! < 60 && load! < 3, `${uptime} ${load}`);
    await daemon.restart();
    assert.equal((await values()).split('\n')[0], '300');
    assert.ok(!fs.readFileSync('/proc/self/mounts', 'utf8').includes(daemon.base), 'no mount of it on the host');
    const lxcfs = runningPrograms().filter(({ args }) => path.basename(args[0] ?? '') === 'lxcfs' && args.some((word) => word.startsWith(daemon.base)));
    assert.equal(lxcfs.length, 1, 'one for the root, and the next daemon uses it');
    process.kill(lxcfs[0]!.process.pid, 'SIGKILL');
    await ok('restart', 'values');
    await booted('values');
    assert.equal((await values()).split('\n')[0], '300', 'a start finds it gone and starts another');
    await rm('values');
  });

  test('a shell, a pause, limits, a volume, a rename', async () => {
    await ok('launch', 'system', 'work', '-m', '300m', '--pids-limit', '400', '-v', 'data:/data', '--tmpfs', '/scratch:size=8m');
    assert.equal((await berth(daemon, ['shell', 'work'], { input: 'id -un; exit 3\n', timeoutMs: 30_000 })).code, 3);
    assert.equal(await inside('work', 'echo x > /data/f; stat -c "%u %g" /data/f; df --output=target,size /scratch | tail -1 | tr -s " "; cat /proc/self/status | grep NoNewPrivs | tr -d "\\t"'), '0 0\n/scratch 8192\nNoNewPrivs:0');
    const { code } = await berth(daemon, ['exec', 'work', 'sh', '-c', 'head -c 400m /dev/zero | tail -c 390m > /dev/null'], { timeoutMs: 60_000 });
    assert.notEqual(code, 0, 'more than its memory');
    await ok('pause', 'work');
    await ok('resume', 'work');
    await ok('rename', 'work', 'renamed');
    await ok('restart', 'renamed');
    await booted('renamed');
    assert.equal(await inside('renamed', 'hostname; cat /etc/hostname /data/f'), 'renamed\nrenamed\nx');
    await rm('renamed');
    await ok('volume', 'delete', 'data');
  });
});

function alive(pid: number): boolean {
  try {
    return !fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}
