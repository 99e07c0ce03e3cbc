/**
 * One spec, two boundaries: the same file applied with `isolation: container` and with `isolation: vm`. From inside and
 * from outside it must look the same: output, log, exit code, rights, limits, names, addresses.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { berth } from '../lib/cli.ts';
import { TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

/** Looks at everything that a field of the spec promises, tells, and ends when it is told to. */
const LOOK = `
echo "arguments: $0 $*"
echo "environment: $GREETING|$EMPTY|$PATH|$HOME|$HOSTNAME|$TERM"
env | grep -c .
echo "user: $(id)"
echo "directory: $(pwd)"
echo "host name: $(hostname) $(cat /etc/hostname)"
echo "mask: $(umask)"
grep -E '^(Cap|NoNewPrivs|Uid|Gid|Groups)' /proc/self/status
echo "files: $(ulimit -Sn) $(ulimit -Hn), core: $(ulimit -c)"
for path in / /etc /bin/sh /tmp /scratch /etc/passwd; do stat -c '%n %A %u %g %F' $path; done
touch /etc/passwd 2>&1
echo mine > /scratch/mine && stat -c '%n %A %u %g %s' /scratch/mine
df -k /scratch | awk 'NR == 2 { print "scratch: " $2 }'
df -k /dev/shm | awk 'NR == 2 { print "shm: " $2 }'
echo "terminal: $(tty)"
cat | wc -c
grep -v '^#' /etc/resolv.conf
nslookup -type=a peer.default.berth | sed -n '/^Name/,$p'
nslookup -type=aaaa peer.default.berth | sed -n '/^Name/,$p'
nslookup -type=a no-such-name.default.berth 2>&1 | grep -i "can't find"
ip -o address show dev eth0 | awk '{ print $3, $4 }' | grep -v ^inet6.fe80
ip route | awk '$1 == "default" { print $1, $2, $3, $4, $5 }'
wget -q -O - http://peer/greeting
echo "to the other stream" >&2
i=0; while [ $i -lt 40 ]; do echo "line $i with some text behind it"; i=$((i + 1)); done
until wget -q -O /dev/null http://peer/go 2>/dev/null; do sleep 0.1; done
exit 42
`;

const MANIFEST = (isolation: string, address: string): string => JSON.stringify({
  apiVersion: 'berth/v1', kind: 'Instance', meta: { name: 'subject' },
  spec: {
    image: 'busybox', isolation, running: true, entrypoint: ['/bin/sh', '-c'], command: [LOOK, 'zero', 'two words', '$three', ''],
    env: { GREETING: 'grüß "Gott" $HOME', EMPTY: '' }, user: '1000:1001', workdir: '/tmp', hostname: 'subject-host', memoryBytes: 200 * 1024 * 1024,
    ulimits: { nofile: { soft: 512, hard: 2048 } }, capabilities: { add: ['NET_RAW'], drop: ['CHOWN'] }, tmpfs: [{ target: '/scratch', sizeBytes: 8 * 1024 * 1024 }],
    networks: [{ name: 'lan', ipv4: address }], ports: [{ hostPort: 18_080, targetPort: 80 }],
  },
}, undefined, 2);

interface Seen {
  readonly output: readonly string[];
  readonly errors: readonly string[];
  readonly exitCode: number;
  readonly reason: string;
  readonly answer: string;
  readonly boundary: string;
}

describe('one spec, container and vm', () => {
  let daemon: TestDaemon;
  const seen: Record<string, Seen> = {};

  before(async () => {
    daemon = await TestDaemon.start({ vms: true });
    await daemon.bootstrapBusybox();
    await daemon.ok('POST', '/v1/projects/default/networks?waitMs=60000', { meta: { name: 'lan' } });
  });
  after(async () => { await daemon?.[Symbol.asyncDispose](); });

  for (const isolation of ['container', 'vm']) {
    test(`isolation: ${isolation}: it runs and ends`, { timeout: 180_000 }, async () => {
      const { ipv4 } = (await daemon.ok('GET', '/v1/projects/default/networks/lan')).status;
      const address = (last: number): string => (ipv4.gateway as string).replace(/\d+$/, String(last));
      await daemon.create('peer', { networks: [{ name: 'lan', ipv4: address(76) }], command: ['sh', '-c', 'mkdir /tmp/www; echo hello > /tmp/www/greeting; exec httpd -f -p 80 -h /tmp/www'], stopSignal: 'SIGKILL' });
      const file = path.join(daemon.base, `${isolation}.json`);
      fs.writeFileSync(file, MANIFEST(isolation, address(77)));
      const applied = await berth(daemon, ['apply', '-f', file], { timeoutMs: 120_000 });
      assert.equal(applied.code, 0, applied.stderr);
      const { status } = await daemon.untilState('subject', 'running');
      const answer = (await berth(daemon, ['exec', 'peer', 'sh', '-c', 'for type in a aaaa; do nslookup -type=$type subject.default.berth; done'])).stdout;
      assert.equal((await berth(daemon, ['exec', 'peer', 'sh', '-c', 'echo yes > /tmp/www/go'])).code, 0);
      const waited = await berth(daemon, ['wait', 'subject'], { timeoutMs: 60_000 });
      assert.equal(waited.stdout, '42\n', waited.stderr);
      const { stdout, stderr } = await berth(daemon, ['logs', 'subject']);
      const ended = (await daemon.instance('subject')).status;
      seen[isolation] = { output: stdout.split('\n'), errors: stderr.split('\n'), exitCode: ended.exitCode, reason: ended.reason, answer, boundary: status.boundary };
      for (const name of ['subject', 'peer']) assert.equal((await berth(daemon, ['rm', '--force', name])).code, 0);
      await until(async () => (await daemon.instance('peer')) === undefined);
    });
  }

  test('same output, line by line', () => {
    assert.ok(seen['container']!.output.length > 80, seen['container']!.output.join('\n'));
    assert.deepEqual(seen['vm']!.output, seen['container']!.output);
  });

  test('same lines on the other stream', () => {
    assert.ok(seen['container']!.errors.includes('to the other stream'));
    assert.deepEqual(seen['vm']!.errors, seen['container']!.errors);
  });

  test('same exit code and reason', () => {
    for (const { exitCode, reason } of [seen['container']!, seen['vm']!]) assert.deepEqual([exitCode, reason], [42, 'exited']);
  });

  test('same answer of the name server, and behind it another boundary', () => {
    assert.match(seen['container']!.answer, /\.77$/m);
    assert.equal(seen['vm']!.answer, seen['container']!.answer);
    assert.equal(seen['container']!.boundary, 'kernel');
    assert.match(seen['vm']!.boundary, /^(hardware|emulated)$/);
  });
});
