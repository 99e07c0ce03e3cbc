import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workload, type Workload, type WorkloadSpec } from '../model/workload.ts';
import { adviseEstate, placementRules } from './advise-estate.ts';
import { decide } from './decide.ts';
import { isUnpinned } from './red-flags.ts';

const make = (name: string, spec: WorkloadSpec = {}): Workload => workload.parse({ kind: 'Workload', meta: { name }, spec });
const flagsOf = (spec: WorkloadSpec): string[] => decide(make('w', spec)).redFlags.map((one) => one.flag);

test('what may not share a kernel is kept apart by name, by class, or from all', () => {
  const estate = [make('ours'), make('guest', { trust: { code: 'tenant' } }), make('other')];
  const groups = (words: string[]): unknown => placementRules([...estate, make('vault', { trust: { noSharedKernelWith: words } })]).map((rule) => [rule.kind, rule.scope, rule.groups]);
  assert.deepEqual(groups(['tenants']), [['apart', 'kernel', [['vault'], ['guest']]]]);
  assert.deepEqual(groups(['ours', 'nobody-here']), [['apart', 'kernel', [['vault'], ['ours']]]]);
  assert.deepEqual(groups(['*']), [['apart', 'kernel', [['vault'], ['guest', 'other', 'ours']]]]);
  assert.deepEqual(groups([]), []);
});

test('tenants whose workloads may be containers share no kernel with each other or with us', () => {
  const red = make('red', { trust: { tenant: 'red', code: 'own' } });
  const blue = make('blue', { trust: { tenant: 'blue', code: 'own' } });
  const foreign = make('foreign', { trust: { tenant: 'blue', code: 'tenant' } });
  const rules = placementRules([make('ours'), red, blue, foreign]);
  assert.deepEqual(rules.map((rule) => [rule.kind, rule.scope, rule.groups]), [['apart', 'kernel', [['ours'], ['blue'], ['red']]]]);
});

test('the same wish from both sides is one rule, and unknown names make none', () => {
  const rules = placementRules([make('a', { placement: { notOnHostWith: ['b', 'nobody'] } }), make('b', { placement: { notOnHostWith: ['a'], onHostWith: ['c'] } }), make('c')]);
  assert.deepEqual(rules.map((rule) => [rule.kind, rule.scope, rule.groups]), [['apart', 'host', [['a'], ['b']]], ['together', 'host', [['b', 'c']]]]);
});

test('two workloads of one name keep their places, whatever the order', () => {
  const one = make('twin', { os: { family: 'windows' } });
  const two = make('twin', { lifecycle: { liveMigration: true } });
  assert.equal(JSON.stringify(adviseEstate([one, two])), JSON.stringify(adviseEstate([two, one])));
});

test('a flag is raised for what is known, and for nothing that is unknown', () => {
  assert.deepEqual(flagsOf({}), []);
  assert.deepEqual(flagsOf({
    source: { kind: 'image', image: 'shop' }, inside: { applications: 3, envSecrets: ['TOKEN'] }, os: { unsupported: true },
    privileges: { root: true, privileged: true, hostPaths: [{ path: '/var/run/docker.sock', readOnly: true }], hostNetwork: true }, resources: { limits: {} },
  }), ['latest', 'root user', 'privileged', 'host mounts', 'host root', 'host network', 'no limits', 'several applications', 'secrets in the environment', 'unpatched base']);
  assert.deepEqual(flagsOf({
    source: { kind: 'image', image: 'shop:1.2' }, inside: { applications: 1, envSecrets: [] }, os: { unsupported: false },
    privileges: { root: false, privileged: false, hostPaths: [], hostNetwork: false }, resources: { limits: { memoryBytes: 1 } },
  }), []);
});

test('an image is pinned by a tag that is not latest, or by its digest', () => {
  for (const unpinned of ['shop', 'shop:latest', 'registry.example:5000/shop']) assert.equal(isUnpinned(unpinned), true, unpinned);
  for (const pinned of ['shop:1', 'registry.example:5000/shop:2', 'shop:latest@sha256:0000', 'shop@sha256:0000']) assert.equal(isUnpinned(pinned), false, pinned);
});

test('each form brings the controls that an auditor asks for', () => {
  const controls = (spec: WorkloadSpec): string[] => decide(make('w', spec)).controls.map((one) => one.control);
  const machine = ['identity', 'privilege escalation', 'logging', 'change management', 'audit', 'backup', 'patching', 'monitoring', 'vulnerability scanning', 'intrusion detection'];
  const vm = controls({ os: { family: 'windows' } });
  const osContainer = controls({ inside: { applications: 3, sshLogins: true, manualChanges: true } });
  for (const control of machine) assert.ok(vm.includes(control) && osContainer.includes(control), control);
  assert.ok(osContainer.includes('host kernel') && vm.includes('guest kernel'));
  for (const control of ['image provenance', 'non-root', 'read-only', 'limits']) assert.ok(controls({ inside: { applications: 1 } }).includes(control), control);
});

test('the host is the place for what looks at the host, and a path that only looks like it is not', () => {
  assert.equal(decide(make('w', { privileges: { hostPaths: [{ path: '/var/log', readOnly: true }] } })).form, 'host');
  assert.equal(decide(make('w', { privileges: { hostProcesses: true } })).form, 'host');
  assert.equal(decide(make('w', { privileges: { hostPaths: [{ path: '/var/run/docker.sock', readOnly: true }] } })).form, 'none');
  assert.equal(decide(make('w', { privileges: { hostPaths: [{ path: '/etc/' }] } })).form, 'none');
  assert.equal(decide(make('w', { inside: { applications: 1 }, privileges: { hostPaths: [{ path: '/srv/procurement' }, { path: '/etc/nginx', readOnly: true }] } })).form, 'appContainer');
});

test('an inferred fact is told as such, with its rule', () => {
  const one = workload.parse({ kind: 'Workload', meta: { name: 'w' }, spec: { os: { family: 'windows' } }, provenance: { 'os.family': { how: 'inferred', rule: 'the guest OS field begins with Microsoft' } } });
  assert.deepEqual(decide(one).ruledOut[0]!.evidence, [{ field: 'os.family', value: 'windows', how: 'inferred', rule: 'the guest OS field begins with Microsoft' }]);
  assert.ok(decide(one).confidence < 1);
});

test('figures of a calibrated host take away what starts too late, shipped ones do not', () => {
  const quick = make('w', { inside: { applications: 3, sshLogins: true, manualChanges: true }, lifecycle: { startMs: 3000, liveMigration: true } });
  assert.equal(decide(quick).form, 'vm');
  const measured = { value: 9000, n: 5, date: '2026-01-01', source: 'berth advise calibrate', transferable: true };
  const figures = { host: 'this one', shipped: false, hardwareVirtualization: true, forms: { vm: { startColdMs: measured } } };
  const late = decide(quick, { figures });
  assert.equal(late.form, 'none');
  assert.ok(late.ruledOut.some((one) => one.form === 'vm' && one.constraint === 'start-time'));
  assert.equal(decide(quick, { figures: { ...figures, forms: { vm: { startColdMs: { ...measured, transferable: false } } } } }).form, 'vm');
});
