/** Berth as a service of a whole host: up, restarts and reboots of all kinds, down. The steps follow each other. */
import assert from 'node:assert/strict';
import { INSIDE, type DebianVm } from './debian-vm.ts';
import { until } from './until.ts';

/** Its name among the parts that can be chosen. */
export const SERVICE = 'service';

const MINUTE_MS = 60_000;
const REBOOTS = ['systemctl reboot', 'berth restart', 'power cut'] as const;
const WISHED = { web: 'running', flaky: 'running', box: 'running', job: 'stopped', off: 'stopped' };

export interface ServiceStep {
  readonly title: string;
  readonly timeoutMs: number;
  body(): Promise<void>;
}

export async function doctorInside(vm: Pick<DebianVm, 'run' | 'ok' | 'kernel'>): Promise<void> {
  const { checks } = JSON.parse((await vm.run('./berth doctor -o json', 20 * MINUTE_MS)).stdout) as { checks: { status: string; title: string; found: string }[] };
  assert.deepEqual(checks.filter((one) => one.status === 'fail'), []);
  assert.match(checks.find((one) => one.title === 'Control groups')!.found, /^v2/);
  assert.equal(await vm.ok('uname -r'), vm.kernel.release);
}

export function serviceSteps(theVm: () => DebianVm): readonly ServiceStep[] {
  const step = (title: string, minutes: number, work: (vm: DebianVm) => Promise<void>): ServiceStep => ({ title, timeoutMs: minutes * MINUTE_MS, body: () => work(theVm()) });
  const served = (title: string, minutes: number, work: (vm: DebianVm) => Promise<void>): ServiceStep => step(title, minutes, async (vm) => {
    assert.equal((await vm.run('systemctl is-active berth')).stdout.trim(), 'active', 'there is no service to look at');
    await work(vm);
  });
  return [
    step('up makes a service of it', 70, async (vm) => {
      await vm.ok('./berth up --yes --no-estate', 60 * MINUTE_MS);
      assert.equal(await vm.ok('systemctl is-active berth; systemctl is-enabled berth'), 'active\nenabled');
      for (const [property, value] of [['KillMode', 'process'], ['Delegate', 'yes']] as const) assert.equal(await vm.ok(`systemctl show -p ${property} --value berth`), value, property);
    }),
    served('instances of all kinds start', 90, async (vm) => {
      await vm.ok(`berth image bootstrap busybox && berth image import ${vm.systemArchive} --as system`, 20 * MINUTE_MS);
      await vm.ok('berth run -d --name web --restart always -p 8080:80 busybox sh -c "mkdir -p /www; echo here > /www/index.html; exec httpd -f -h /www -p 80"');
      // It ends with 0 when it is asked to: no failure, and to come back all the same.
      await vm.ok('berth run -d --name flaky --restart on-failure busybox sh -c "trap \'exit 0\' TERM; while :; do sleep 1; done"');
      await vm.ok('berth run -d --name job busybox sleep 100000');
      await vm.ok('berth run -d --name off --restart always busybox sleep 100000 && berth stop -t 1 off');
      await vm.ok('berth launch system box', 15 * MINUTE_MS);
      assert.deepEqual(await states(vm), { ...WISHED, job: 'running' });
    }),
    served('systemctl restart leaves them running', 30, async (vm) => {
      await vm.ok('systemctl restart berth', 10 * MINUTE_MS);
      // Nothing would start that one again.
      await untilStates(vm, { ...WISHED, job: 'running' }, 'systemctl restart');
    }),
    ...REBOOTS.map((how) => served(`${how}: what ran comes back as it was wished (J14)`, 40, async (vm) => {
      await vm.rebootBy(how);
      await untilStates(vm, WISHED, how);
      assert.equal(await vm.ok('curl -sS --retry 20 --retry-all-errors http://127.0.0.1:8080/', 2 * MINUTE_MS), 'here');
      assert.match(await vm.ok('berth events -o json'), /'web' went down with its host, and comes back with it/);
      assert.equal(await vm.ok('berth debug leaks'), '');
      if (how === 'systemctl reboot') assert.match(await vm.ok('journalctl -b -1 -u berth --no-pager -o cat', 2 * MINUTE_MS), /the host goes down: instances are asked to end/);
    })),
    served('down --all leaves nothing', 30, async (vm) => {
      await vm.ok('berth down --all --yes', 10 * MINUTE_MS);
      assert.equal(await vm.ok(LEFTOVERS), '');
      await vm.ok(`test -d ${INSIDE} && ! systemctl --failed --no-legend | grep berth`);
    }),
  ];
}

/** Until the daemon answers, and says so. */
async function untilStates(vm: DebianVm, wanted: Readonly<Record<string, string>>, after: string): Promise<void> {
  let seen = {};
  await until(async () => {
    seen = (await vm.run('berth list')).code === 0 ? await states(vm) : { daemon: 'does not answer yet' };
    return JSON.stringify(sorted(seen)) === JSON.stringify(sorted(wanted));
  }, { deadlineMs: 10 * MINUTE_MS, intervalMs: 2000, what: 'what was wished' }).catch((error: unknown) => { throw new Error(`after ${after}: ${JSON.stringify(seen)}`, { cause: error }); });
}

async function states(vm: DebianVm): Promise<Record<string, string>> {
  const list = JSON.parse(await vm.ok('berth list -a -o json')) as { meta: { name: string }; status: { state: string } }[];
  return Object.fromEntries(list.map((one) => [one.meta.name, one.status.state]));
}

const sorted = (states: Readonly<Record<string, string>>): [string, string][] => Object.entries(states).sort();

/** Prints what is Berth's and still there. */
const LEFTOVERS = [
  'ps -eo comm | grep -E "conmon|dnsmasq|lxcfs"', 'readlink /proc/[0-9]*/exe | grep /opt/berth', 'nft list tables | grep berth', 'ip -o link | grep -E "\\bb[tv][a-z0-9]{6}"', 'find /sys/fs/cgroup -maxdepth 1 -name "berth-*"',
  'ls -d /opt/berth /run/berth /run/berth-leases /usr/local/bin/berth /etc/systemd/system/berth.service 2>/dev/null', 'find /var/lib/berth -mindepth 1', 'true',
].join('; ');
