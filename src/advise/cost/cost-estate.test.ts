import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleEstate } from '../../../test/lib/example-estate.ts';
import { examplePrices, pricesFrom } from '../../../test/lib/example-prices.ts';
import type { Workload, WorkloadSpec } from '../../model/workload.ts';
import { adviseEstate } from '../advise-estate.ts';
import { SHIPPED_FIGURES } from '../shipped-figures.ts';
import { costEstate } from './cost-estate.ts';
import type { CostReport, ScenarioCost } from './cost-report.ts';
import { money, total } from './money.ts';
import type { Scenario } from './scenarios.ts';

const GIB = 1024 ** 3;
const workload = (name: string, spec: WorkloadSpec = {}): Workload => ({ kind: 'Workload', meta: { name }, spec });
const app = (name: string, more: WorkloadSpec = {}): Workload => workload(name, {
  replicas: 1, source: { kind: 'image', image: 'own/app:1', signed: true }, inside: { applications: 1 }, state: { kind: 'none' }, os: { family: 'linux' }, trust: { code: 'own', internetFacing: false },
  resources: { requests: { cpus: 1, memoryBytes: GIB, diskBytes: GIB } }, lifecycle: { releasesPerMonth: 20, patching: 'rebuild' }, change: { packagingExists: true, currentForm: 'vm' }, ...more,
});
const windows = (name: string, more: WorkloadSpec = {}): Workload => app(name, { os: { family: 'windows' }, lifecycle: { patching: 'in-place' }, ...more });
const prices = (more: object = {}) => pricesFrom({
  currency: 'EUR', hostTypes: [{ name: 'host', cpus: 10, cores: 4, memory: '16GiB', disk: '100GiB', capital: '4800.00', runningPerMonth: '10.00' }], depreciationMonths: 48,
  labour: { perOperatingSystemPerMonth: '20', perImagePerMonth: '1' }, capacity: { spareHosts: 0 }, ...more,
});
const cost = (estate: readonly Workload[], file = prices()): CostReport => costEstate(estate, adviseEstate(estate, { host: { hardwareVirtualization: true } }), file, SHIPPED_FIGURES);
const EXAMPLE = cost(exampleEstate(), examplePrices());
const of = (report: CostReport, scenario: Scenario): ScenarioCost => report.scenarios.find((one) => one.scenario === scenario)!;

test('one small estate, by hand', () => {
  const report = cost([app('web', { replicas: 3 }), windows('erp')]);
  const recommended = of(report, 'recommended');
  assert.deepEqual(recommended.byForm, { 'app-container': 3, vm: 1 });
  assert.deepEqual([recommended.hosts.needed, recommended.hosts.lowerBound, recommended.operatingSystems, recommended.images, recommended.kernels], [1, 1, 2, 1, 2]);
  // One host: 4800 / 48 + 10; the host's system and Windows: 2 × 20; one image: 1.
  assert.deepEqual(recommended.monthly, { capital: '100.00', running: '10.00', energy: '0.00', hostLicences: '0.00', workloadLicences: '0.00', labour: '41.00', total: '151.00' });
  assert.deepEqual([recommended.threeYears, recommended.purchase, recommended.monthlyPerWorkload, recommended.workloadsPerKernel], ['5436.00', '4800.00', '75.50', 2]);
  const vms = of(report, 'all-vm');
  assert.deepEqual([vms.byForm, vms.operatingSystems, vms.monthly.labour], [{ vm: 4 }, 3, '60.00'], 'copies that are patched by a new image are one system to patch');
});

test('what workloads cost adds up to the whole', () => {
  for (const scenario of EXAMPLE.scenarios) {
    const sum = total(scenario.workloads.map(({ monthly }) => money(monthly)));
    const difference = Number(sum - money(scenario.monthly.total)) / 1e6;
    assert.ok(Math.abs(difference) <= 0.01 * scenario.workloads.length, `${scenario.scenario}: ${difference}`);
  }
});

test('the example estate: all is placed, near the bound, and costs less than today', () => {
  const report = EXAMPLE;
  assert.equal(report.examplePrices, true);
  assert.deepEqual(report.scenarios.map(({ scenario }) => scenario), ['all-vm', 'all-container', 'today', 'recommended']);
  for (const { scenario, hosts, unplaced, utilization } of report.scenarios) {
    assert.deepEqual(unplaced, [], scenario);
    assert.ok(hosts.needed <= Math.max(hosts.lowerBound + 1, 1.05 * hosts.lowerBound), `${scenario}: ${hosts.needed}, bound ${hosts.lowerBound}`);
    assert.ok(Number(hosts.monthly) >= Number(hosts.monthlyAtLeast));
    assert.ok(utilization.memory > 0 && utilization.memory <= 1);
  }
  assert.ok(of(report, 'recommended').savedPercent! > 0);
  assert.ok(of(report, 'recommended').operatingSystems < of(report, 'all-vm').operatingSystems);
});

test('the same whatever the order', () => {
  assert.equal(JSON.stringify(cost(exampleEstate().toReversed(), examplePrices())), JSON.stringify(EXAMPLE));
});

test('tenants and refusals keep hosts apart: containers by the kernel, VMs not', () => {
  const tenant = (name: string): Workload => windows(name, { trust: { tenant: name, code: 'tenant' } });
  assert.equal(of(cost([tenant('a'), tenant('b')]), 'recommended').hosts.needed, 1, 'VMs have kernels of their own');
  const apart = cost([app('a', { placement: { notOnHostWith: ['b'] } }), app('b')]);
  assert.equal(of(apart, 'recommended').hosts.needed, 2);
  assert.equal(of(apart, 'all-vm').hosts.needed, 2);
  const kernels = cost([app('a', { trust: { code: 'own', noSharedKernelWith: ['b'] } }), app('b')]);
  assert.equal(of(kernels, 'all-vm').hosts.needed, 1);
});

test('a copy for the day of disaster is never beside the original', () => {
  const report = cost([app('orders'), app('orders-dr', { disasterRecoveryOf: 'orders' })]);
  for (const scenario of ['all-vm', 'all-container', 'recommended'] as const) assert.equal(of(report, scenario).hosts.needed, 2, scenario);
});

test('copies in production survive one host; copies elsewhere need not', () => {
  assert.equal(of(cost([app('web', { replicas: 4, environment: 'prod' })]), 'recommended').hosts.needed, 2);
  assert.equal(of(cost([app('web', { replicas: 4, environment: 'test' })]), 'recommended').hosts.needed, 1);
});

test('today lies where it lies', () => {
  const on = (name: string, currentHost: string): Workload => app(name, { change: { currentForm: 'vm', currentHost } });
  const report = cost([on('a', 'one'), on('b', 'two'), on('c', 'two')]);
  assert.deepEqual([of(report, 'today').hosts.needed, of(report, 'recommended').hosts.needed], [2, 1]);
  assert.ok(of(report, 'recommended').savedPercent! > 0);
});

test('what lies together today and fits no host type together is counted all the same, with a word', () => {
  const on = (name: string): Workload => app(name, { resources: { requests: { cpus: 7, memoryBytes: GIB } }, change: { currentForm: 'vm', currentHost: 'giant' } });
  const today = of(cost([on('a'), on('b')]), 'today');
  assert.deepEqual([today.hosts.needed, today.unplaced], [2, []]);
  assert.match(today.notes.join('\n'), /What lies on giant today fits no host type/);
});

test('hosts without hardware virtualization get no VMs', () => {
  const types = [{ name: 'cloud', cpus: 10, memory: '16GiB', disk: '100GiB', runningPerMonth: '1', hardwareVirtualization: false }, { name: 'metal', cpus: 10, memory: '16GiB', disk: '100GiB', runningPerMonth: '100' }];
  const recommended = of(cost([app('web'), windows('erp')], prices({ hostTypes: types })), 'recommended');
  assert.ok(recommended.hosts.byType.some(({ type }) => type === 'metal'));
  assert.deepEqual(of(cost([windows('erp')], prices({ hostTypes: [types[0]!] })), 'recommended').unplaced, [{ name: 'erp', reason: 'no host type that may have it is in the price file' }]);
});

test('licences per core count the cores of the host for a container, of the machine for a VM', () => {
  const licences = [{ product: 'database', per: 'core' as const, costPerMonth: 10 }];
  const report = cost([app('db', { licences })]);
  assert.deepEqual([of(report, 'recommended').monthly.workloadLicences, of(report, 'all-vm').monthly.workloadLicences], ['40.00', '10.00']);
  assert.equal(of(cost([app('db', { licences })], prices({ licencePerCoreInContainers: 'own' })), 'recommended').monthly.workloadLicences, '10.00');
});

test('what nobody said is named, not hidden', () => {
  const report = cost([workload('mystery')]);
  assert.match(report.assumptions.join('\n'), /how much CPU mystery[\s\S]*how much memory mystery[\s\S]*how many copies of mystery/);
  assert.match(of(report, 'today').notes.join('\n'), /Nobody said what they run as today/);
});

test('a price file is checked field by field', () => {
  const wrong = (more: object, pattern: RegExp): void => { assert.throws(() => prices(more), pattern); };
  wrong({ currency: '€' }, /currency/);
  wrong({ energyPerKwh: '-1' }, /energyPerKwh/);
  wrong({ energyPerKwh: '0.12345678' }, /energyPerKwh/);
  wrong({ hostTypes: [] }, /hostTypes/);
  wrong({ hostTypes: [{ name: 'a', cpus: 1, memory: '1 parsec', disk: 1 }] }, /parsec/);
  wrong({ hostTypes: [{ name: 'a', cpus: 1, memory: 1, disk: 1 }, { name: 'a', cpus: 1, memory: 1, disk: 1 }] }, /same name/);
  wrong({ capital: 1 }, /no such field/);
  assert.equal(prices({ energyPerKwh: 0.5 }).energyPerKwh, '0.5');
});
