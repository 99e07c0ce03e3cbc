import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunResult } from '../../host/run.ts';
import { finding, type Check, type Finding, type HostView } from './finding.ts';
import { securityModules, sysctls } from './hardening-checks.ts';
import { cgroupMode, cgroups, packetFilter, userNamespaces } from './kernel-checks.ts';
import { droppingForwardChains, firewalls, ports, wildcardListeners } from './network-checks.ts';
import { examine, reportJson, reportText } from './run-doctor.ts';
import { fileSystemOf, idRanges, parseIdRanges } from './space-checks.ts';
import { tools, versionOf } from './tool-checks.ts';
import { isOlder, WEAKNESSES, weaknessesOf } from './weaknesses.ts';

interface Stand { readonly files?: Record<string, string>; readonly links?: Record<string, string>; readonly run?: (file: string, args: readonly string[], input?: string) => Partial<RunResult> | undefined; readonly isRoot?: boolean }

function host({ files = {}, links = {}, run = () => undefined, isRoot = true }: Stand = {}): HostView {
  return {
    isRoot,
    readText: (file) => files[file],
    list: (dir) => [...new Set(Object.keys({ ...files, ...links }).filter((file) => file.startsWith(`${dir}/`)).map((file) => file.slice(dir.length + 1).split('/')[0]!))],
    readLink: (file) => links[file],
    exists: (file) => files[file] !== undefined,
    async run(file, args, input) {
      const answer = run(file, args, input);
      return answer === undefined ? undefined : { code: 0, stdout: '', stderr: '', ...answer };
    },
  };
}

const byId = async (check: Check, view: HostView): Promise<Record<string, Finding>> => Object.fromEntries((await check(view)).map((one) => [one.id, one]));

test('one failure makes the report fail, a warning does not, and a check that breaks hides no other', async () => {
  const of = (status: Finding['status']): Check => () => [finding(`x.${status}`, 'X', status, 'found', 'means', status === 'ok' ? '' : 'do this')];
  const broken: Check = () => { throw new Error('cannot look'); };
  assert.equal((await examine(host(), [{ title: 'A', checks: [of('ok'), of('info')] }])).status, 'ok');
  assert.equal((await examine(host(), [{ title: 'A', checks: [of('warn')] }])).status, 'warn');
  const report = await examine(host(), [{ title: 'A', checks: [broken, of('fail')] }]);
  assert.equal(report.status, 'fail');
  const text = reportText(report, false);
  assert.match(text, /cannot look/);
  assert.match(text, /✖ X: found\n {5}means\n {5}→ do this/);
  assert.match(text, /0 ok, 0 to know, 1 warnings, 1 failures\n$/);
  const { status, checks } = JSON.parse(reportJson(report)) as { status: string; checks: Record<string, string>[] };
  assert.equal(status, 'fail');
  assert.deepEqual(Object.keys(checks[1]!).sort(), ['fix', 'found', 'id', 'means', 'section', 'status', 'title']);
});

test('no user namespaces: a failure with the setting that forbids them', async () => {
  const [answer] = await userNamespaces(host({ files: { '/proc/sys/user/max_user_namespaces': '0\n' }, run: () => ({ code: 1, stderr: 'unshare failed' }) }));
  assert.equal(answer!.status, 'fail');
  assert.match(answer!.fix, /max_user_namespaces=/);
});

test('control groups: every layout is told apart, and missing controllers fail', async () => {
  const line = (type: string, options: string): string => `30 20 0:1 / /sys/fs/cgroup/x rw - ${type} none rw,${options}`;
  assert.equal(cgroupMode(line('cgroup2', 'nsdelegate')), 'v2');
  assert.equal(cgroupMode(`${line('cgroup', 'cpu')}\n${line('cgroup2', '')}`), 'hybrid');
  assert.equal(cgroupMode(line('cgroup', 'cpu')), 'v1');
  const v2 = (controllers: string): HostView => host({ files: { '/proc/self/mountinfo': line('cgroup2', ''), '/sys/fs/cgroup/cgroup.controllers': controllers } });
  assert.equal((await cgroups(v2('cpu memory pids\n')))[0]!.status, 'ok');
  const bad = (await cgroups(v2('cpu pids\n')))[0]!;
  assert.equal(bad.status, 'fail');
  assert.match(bad.means, /memory/);
});

test('the packet filter is tried family by family', async () => {
  const answer = await packetFilter(host({ run: (_file, _args, input) => ({ code: input?.includes('bridge') === true ? 1 : 0 }) }));
  assert.deepEqual([answer[0]!.status, answer[0]!.found], ['fail', 'no bridge']);
});

test('a missing program is a failure where every instance needs it; versions are read from what programs print', async () => {
  const view = host({ run: (file) => (file === 'crun' ? { stdout: 'crun version 1.8.1\ncommit: f8a096b\n' } : file === 'conmon' ? undefined : { stdout: 'v9.9' }) });
  const found = await byId(tools, view);
  assert.deepEqual([found['tool.crun']!.found, found['tool.conmon']!.status], ['1.8.1', 'fail']);
  const without = await byId(tools, host());
  assert.equal(without['tool.qemu-system-x86_64']!.status, 'warn');
  assert.equal(versionOf('QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)'), '7.2.22');
});

test('each known weakness of a version is named with the guard that covers it', async () => {
  const crun = (version: string): HostView => host({ run: (file) => (file === 'crun' ? { stdout: `crun version ${version}` } : undefined) });
  const old = Object.values(await byId(tools, crun('1.8.1'))).filter((one) => one.id.startsWith('weakness.'));
  assert.ok(old.length >= 7);
  assert.ok(old.every((one) => one.status === 'info' && /Covered: .*\(test [A-Z]\d\d\)/.test(one.means)));
  assert.ok(!old.some((one) => one.id.includes('30892')), 'exec -u came with 1.19');
  assert.ok((await tools(crun('1.21'))).some((one) => one.id.includes('30892')));
  assert.equal((await tools(crun('1.31'))).filter((one) => one.id.startsWith('weakness.')).length, 0);
});

test('a weakness that nothing covers is a failure', () => {
  assert.equal(weaknessesOf('x', '1.0', [{ tool: 'x', id: 'y', fixedIn: '2.0', what: 'z' }]).length, 1);
  assert.ok(WEAKNESSES.every((one) => one.guard !== undefined));
  assert.ok(isOlder('1.8.1', '1.28') && !isOlder('1.28', '1.28') && isOlder('1.28', '1.28.1') && !isOlder('2', '1.99'));
});

test('id ranges of others are read, and an overlap is told', async () => {
  assert.deepEqual(parseIdRanges('# x\nann:100000:65536\nbad line\n'), [{ owner: 'ann', start: 100000, count: 65536 }]);
  const found = await byId(idRanges, host({ files: { '/etc/subuid': 'ann:100000:65536\nbob:165000:10\n', '/etc/subgid': 'ann:100000:65536\n' } }));
  assert.deepEqual([found['ids.subuid']!.status, found['ids.subgid']!.status], ['warn', 'ok']);
});

test('the file system of a directory is the deepest mount above it', () => {
  const info = '1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /var/lib rw - xfs /dev/sdb rw\n3 1 8:3 / /var/library rw - tmpfs t rw\n';
  assert.equal(fileSystemOf(info, '/var/lib/berth'), 'xfs');
  assert.equal(fileSystemOf(info, '/srv'), 'ext4');
});

test('a server on every address of port 53 is a warning, one on a single address is not', async () => {
  const table = (address: string, state: string): string => `  sl  local_address\n   0: ${address}:0035 00000000:0000 ${state} 0 0\n`;
  assert.deepEqual(wildcardListeners('udp', table('00000000', '07')), [{ protocol: 'udp', port: 53, inode: '' }]);
  assert.equal((await ports(host({ files: { '/proc/net/udp': table('00000000', '07') } })))[0]!.status, 'warn');
  assert.equal((await ports(host({ files: { '/proc/net/udp': table('0100007F', '07'), '/proc/net/tcp': table('00000000', '01') } })))[0]!.status, 'ok');
});

test('our own name servers, bound to their bridges, are no foreign ones', async () => {
  const table = '  sl  local_address\n   0: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2\n   1: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2\n';
  const server = (pid: number, inode: number, config: string) => ({ files: { [`/proc/${pid}/cmdline`]: `dnsmasq\0--conf-file=${config}\0` }, links: { [`/proc/${pid}/fd/4`]: `socket:[${inode}]`, [`/proc/${pid}/fd/0`]: '/dev/null' } });
  const own = server(7, 4711, '/run/berth/networks/hex82m0rcjik/dnsmasq.conf');
  const second = server(8, 4712, '/run/berth/networks/marhbr304evx/dnsmasq.conf');
  const foreign = server(8, 4712, '/etc/dnsmasq.conf');
  const status = async (...servers: (typeof own)[]) => (await ports(host({ files: Object.assign({ '/proc/net/udp': table }, ...servers.map((one) => one.files)), links: Object.assign({}, ...servers.map((one) => one.links)) })))[0]!.status;
  assert.equal(await status(own, second), 'ok');
  assert.equal(await status(own, foreign), 'warn');
  assert.equal(await status(own), 'warn');
});

test('foreign rules that drop forwarded packets are named with a way through; ours are not foreign', async () => {
  const chain = (table: string, policy: string): unknown => ({ chain: { family: 'ip', table, name: 'FORWARD', hook: 'forward', policy } });
  const ruleset = JSON.stringify({ nftables: [{ metainfo: {} }, chain('filter', 'drop'), chain('berth_1', 'drop'), chain('other', 'accept')] });
  assert.deepEqual(droppingForwardChains(ruleset).map((one) => one.table), ['filter']);
  const found = await firewalls(host({ run: (file) => (file === 'nft' ? { stdout: ruleset } : undefined), files: { '/proc/net/ip_tables_names': 'filter\nnat\n' } }));
  assert.deepEqual(found.map((one) => one.status), ['warn', 'warn']);
  assert.match(found[0]!.fix, /DOCKER-USER/);
});

test('hardening is reported and never fails', async () => {
  const view = host({ files: { '/proc/sys/kernel/kptr_restrict': '0', '/proc/sys/kernel/dmesg_restrict': '1', '/sys/fs/selinux/enforce': '1' } });
  const found = await byId(sysctls, view);
  assert.deepEqual([found['sysctl.kernel.kptr_restrict']!.status, found['sysctl.kernel.dmesg_restrict']!.status], ['info', 'ok']);
  assert.equal((await byId(securityModules, view))['lsm.selinux']!.status, 'warn');
});
