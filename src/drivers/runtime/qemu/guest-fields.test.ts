import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../../../model/errors.ts';
import { objectId } from '../../../model/ids.ts';
import type { UnitPlan } from '../driver.ts';
import { execFields, setupFields, workloadFields } from './guest-fields.ts';
import { linuxSignal } from './linux-numbers.ts';

const plan: UnitPlan = {
  id: objectId('abcdefghijkl'), name: 'web', project: 'p', hostname: 'web', form: 'microVM',
  process: { args: ['sh', '-c', 'x'], env: ['A=b'], cwd: '/srv', user: { uid: 5, gid: 6, additionalGids: [7, 8] }, terminal: true, size: { rows: 3, columns: 4 } },
  stdin: false, init: true, capabilities: ['CHOWN', 'CAP_SETFCAP'], noNewPrivileges: true, rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }],
  resources: { cpuWeight: 100, pids: 9 }, root: { layers: [], imageFile: '/i', upperDisk: '/u', readOnly: true, volatile: false }, mounts: [{ source: '/s', target: '/x', readOnly: false }, { source: '/r', target: '/v/s', readOnly: true }], tmpfs: [{ target: '/t', sizeBytes: 4096 }], volumeDisks: [{ name: 'data', file: '/d', target: '/v', readOnly: true }, { name: 'a-long-name-of-a-volume', file: '/e', target: '/w', readOnly: false }],
  shmBytes: 8192, sysctls: { 'net.ipv4.ip_forward': '1' }, log: { maxBytes: 1, maxFiles: 1 }, stopSignal: 'SIGTERM',
  network: {
    interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1400, addresses: [{ address: '10.0.0.2', prefixLength: 24 }, { address: 'fd00::2', prefixLength: 64 }], gateways: ['10.0.0.1', 'fd00::1'] }],
    nameservers: ['10.0.0.1'], searchDomains: ['p.berth'],
  },
};

test('network, names and root file system', () => {
  assert.deepEqual(setupFields(plan, { clockNs: 5n, seed: 'ab' }), {
    hostname: 'web', 'clock-ns': '5', seed: 'ab', root: 'root', upper: 'upper', 'read-only': true, 'shm-bytes': 8192, tmpfs: ['4096 /t'], volume: ['v0-data disk ro /v', 'v1-a-long-name-of-a- disk rw /w', 's0 share rw /x', 's1 share ro /v/s'], sysctl: ['net.ipv4.ip_forward=1'],
    hosts: '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n10.0.0.2\tweb\nfd00::2\tweb\n',
    'resolv-conf': 'search p.berth\nnameserver 10.0.0.1\n',
    interface: ['eth0 02:00:00:00:00:01 1400'], address: ['eth0 10.0.0.2 24', 'eth0 fd00::2 64'], gateway: ['eth0 10.0.0.1', 'eth0 fd00::1'],
  });
});

test('a machine that resumed gets a word of its own, and is told by which address an interface is found', () => {
  const { nonce, interface: interfaces } = setupFields(plan, { clockNs: 5n, seed: 'ab', identity: { nonce: 'cd', macOf: (index) => `02:00:00:00:00:f${index}` } });
  assert.deepEqual([nonce, interfaces], ['cd', ['eth0 02:00:00:00:00:01 1400 02:00:00:00:00:f0']]);
});

test('a process', () => {
  const common = { arg: ['sh', '-c', 'x'], env: ['A=b'], cwd: '/srv', uid: 5, gid: 6, group: [7, 8], terminal: true, rows: 3, columns: 4, capability: [0, 31], 'no-new-privileges': true };
  assert.deepEqual(workloadFields(plan), { ...common, stdin: true, init: true, pids: 9, rlimit: ['7 1 2'] });
  assert.deepEqual(execFields({ ...plan.process, stdin: false, capabilities: plan.capabilities, noNewPrivileges: true }, 99), { ...common, stdin: true, window: 99 });
});

test('what a guest does not know is refused', () => {
  const refused = (work: () => unknown): void => { assert.throws(work, (error: unknown) => error instanceof BerthError && error.code === 'invalid'); };
  refused(() => workloadFields({ ...plan, capabilities: ['EVERYTHING'] }));
  refused(() => workloadFields({ ...plan, rlimits: [{ type: 'RLIMIT_LUCK', soft: 1, hard: 1 }] }));
  refused(() => workloadFields({ ...plan, process: { ...plan.process, cwd: 'relative' } }));
  for (const sysctls of [{ '../core_pattern': 'x' }, { 'kernel/../../etc': 'x' }, { 'kernel.x': 'a\nb' }, { kernel: 'x' }]) refused(() => setupFields({ ...plan, sysctls: sysctls as Record<string, string> }, { clockNs: 0n, seed: '' }));
  refused(() => linuxSignal('SIGRTMIN+31'));
  assert.deepEqual(['SIGHUP', 'SIGKILL', 'SIGTERM', 'SIGSYS', 'SIGRTMIN', 'SIGRTMIN+3'].map(linuxSignal), [1, 9, 15, 31, 34, 37]);
});
