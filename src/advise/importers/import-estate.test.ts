/** Each importer against files in the tool's true form, and against broken ones. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Workload } from '../../model/workload.ts';
import { importEstate, type ImportedEstate } from './import-estate.ts';

const FIXTURES = path.resolve(import.meta.dirname, '../../../test/fixtures/estates');

function imported(...names: readonly string[]): ImportedEstate {
  return importEstate(names.map((name) => ({ name, text: fs.readFileSync(path.join(FIXTURES, name), 'utf8') })));
}

function workloadsOf(estate: ImportedEstate): Readonly<Record<string, Workload>> {
  return Object.fromEntries(estate.workloads.map((one) => [one.meta.name, one]));
}

function fact(workload: Workload | undefined, field: string): unknown {
  return field.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], workload?.spec);
}

/** [workload, field, value, how] */
type Expected = readonly (readonly [string, string, unknown, 'knew' | 'inferred' | 'unknown'])[];

function check(estate: ImportedEstate, expected: Expected): void {
  const all = workloadsOf(estate);
  for (const [name, field, value, how] of expected) {
    assert.deepEqual(fact(all[name], field), value, `${name}: ${field}`);
    assert.equal(all[name]?.provenance?.[field]?.how, how, `${name}: how ${field} was found`);
  }
}

const GIB = 1024 ** 3;

test('Docker Compose', () => {
  const estate = imported('compose/shop.yaml');
  assert.deepEqual(estate.problems, []);
  check(estate, [
    ['web', 'replicas', 4, 'knew'], ['web', 'source.image', 'registry.example.net/shop/web:2.7.1', 'knew'], ['web', 'trust.code', 'own', 'inferred'], ['web', 'privileges.root', false, 'knew'],
    ['web', 'resources.limits.memoryBytes', 256 * 1024 ** 2, 'knew'], ['web', 'resources.requests.cpus', 0.1, 'knew'], ['web', 'state.kind', 'none', 'inferred'], ['web', 'trust.internetFacing', undefined, 'unknown'],
    ['db', 'state.kind', 'database', 'inferred'], ['db', 'inside.envSecrets', ['MARIADB_ROOT_PASSWORD'], 'inferred'], ['db', 'privileges.hostPaths', [{ path: './init', readOnly: true }], 'knew'],
    ['db', 'privileges.root', undefined, 'unknown'], ['db', 'trust.internetFacing', false, 'inferred'],
    ['worker', 'source.image', undefined, 'unknown'], ['worker', 'inside.envSecrets', ['QUEUE'], 'inferred'], ['worker', 'replicas', 2, 'knew'],
    ['agent', 'privileges.privileged', true, 'knew'], ['agent', 'os.ebpf', 'host', 'inferred'], ['agent', 'privileges.hostProcesses', true, 'knew'], ['agent', 'os.devices', ['/dev/kmsg'], 'knew'],
    ['all-in-one', 'inside.applications', 2, 'inferred'], ['all-in-one', 'inside.sshLogins', true, 'inferred'], ['all-in-one', 'privileges.root', true, 'knew'],
    ['vpn', 'os.modules', undefined, 'unknown'], ['vpn', 'privileges.capabilities', ['NET_ADMIN', 'SYS_MODULE'], 'knew'], ['vpn', 'os.sysctls', ['net.ipv4.ip_forward'], 'knew'],
    ['train', 'os.gpu', 'shared', 'inferred'],
  ]);
});

test('Kubernetes and KubeVirt', () => {
  const estate = imported('kubernetes/shop.yaml');
  assert.deepEqual(estate.problems, []);
  check(estate, [
    ['web', 'replicas', 2, 'knew'], ['web', 'replicasMax', 40, 'knew'], ['web', 'resources.limits.memoryBytes', undefined, 'unknown'], ['report', 'inside.oneCommand', true, 'inferred'],
    ['orders-db', 'inside.applications', 1, 'inferred'], ['orders-db', 'resources.requests.cpus', 0.5, 'knew'], ['orders-db/metrics', 'resources.requests.cpus', 0.05, 'knew'], ['orders-db/metrics', 'placement.onHostWith', ['orders-db'], 'knew'], ['orders-db/metrics', 'state.kind', 'none', 'inferred'], ['orders-db', 'state.bytes', 200 * GIB, 'knew'], ['orders-db', 'state.ownPerReplica', true, 'inferred'],
    ['orders-db', 'placement.notOnHostWith', ['orders-db'], 'knew'], ['orders-db', 'environment', 'prod', 'inferred'], ['orders-db', 'inside.envSecrets', ['POSTGRES_PASSWORD'], 'inferred'], ['orders-db', 'privileges.root', false, 'knew'],
    ['flow-observer', 'os.ebpf', 'host', 'inferred'], ['flow-observer', 'replicas', undefined, 'unknown'], ['flow-observer', 'privileges.hostNetwork', true, 'knew'],
    ['erp-windows', 'os.family', 'windows', 'knew'], ['erp-windows', 'os.version', '2022', 'knew'], ['erp-windows', 'lifecycle.liveMigration', true, 'knew'], ['erp-windows', 'resources.requests.diskBytes', 120 * GIB, 'knew'], ['erp-windows', 'change.currentForm', 'vm', 'knew'],
  ]);
});

test('docker inspect', () => {
  const estate = imported('docker/inspect.json');
  assert.deepEqual(estate.problems, []);
  check(estate, [
    ['shop-db', 'state.kind', 'database', 'inferred'], ['shop-db', 'resources.limits.cpus', 1.5, 'knew'], ['shop-db', 'resources.requests.memoryBytes', GIB, 'knew'], ['shop-db', 'privileges.root', true, 'inferred'],
    ['shop-web', 'privileges.root', false, 'inferred'], ['shop-web', 'privileges.readOnlyRoot', true, 'knew'], ['shop-web', 'trust.internetFacing', undefined, 'unknown'],
    ['intranet', 'inside.applications', 2, 'inferred'], ['intranet', 'inside.sshLogins', true, 'inferred'], ['intranet', 'resources.limits.memoryBytes', undefined, 'unknown'],
    ['node-agent', 'privileges.privileged', true, 'knew'], ['node-agent', 'privileges.hostPaths', [{ path: '/', readOnly: true }, { path: '/sys/kernel/debug', readOnly: false }], 'knew'],
    ['batch-import', 'trust.internetFacing', false, 'inferred'],
  ]);
  assert.equal(workloadsOf(estate)['shop-db']!.meta.owner, 'shop-team');
});

test('RVTools: a VM is joined from its tabs, templates are none, and every language of Windows is read', () => {
  const tabs = ['vInfo', 'vCPU', 'vMemory', 'vDisk'].map((tab) => `rvtools/RVTools_tab${tab}.csv`);
  const estate = imported(...tabs);
  assert.deepEqual(estate.problems, []);
  assert.deepEqual(estate.workloads.map((one) => one.meta.name), ['FW-01', 'SRV-DB-RDM', 'SRV-ERP-01', 'SRV-LEGACY', 'SRV-OLD', 'SRV-WEB-01']);
  assert.deepEqual(imported(...tabs.toReversed()).workloads.map((one) => one.spec), estate.workloads.map((one) => one.spec), 'in whatever order the tabs come');
  check(estate, [
    ['SRV-ERP-01', 'os.family', 'windows', 'knew'], ['SRV-ERP-01', 'os.version', '2019', 'knew'], ['SRV-ERP-01', 'resources.requests.memoryBytes', 32 * GIB, 'knew'], ['SRV-ERP-01', 'resources.requests.diskBytes', 634_880 * 1024 ** 2, 'knew'], ['SRV-ERP-01', 'resources.mean.memoryBytes', 4 * GIB, 'knew'],
    ['SRV-WEB-01', 'os.version', '12', 'knew'], ['SRV-WEB-01', 'os.unsupported', false, 'inferred'], ['SRV-LEGACY', 'os.unsupported', true, 'inferred'],
    ['SRV-DB-RDM', 'os.devices', ['6000c29'], 'knew'], ['FW-01', 'os.family', 'bsd', 'knew'], ['FW-01', 'lifecycle.liveMigration', true, 'inferred'], ['SRV-OLD', 'os.family', undefined, 'unknown'], ['SRV-OLD', 'replicas', undefined, 'unknown'],
  ]);
  assert.equal(fact(workloadsOf(estate)['FW-01'], 'os.version'), undefined, '“12 or later” is no version');
  const german = workloadsOf(imported('rvtools/german_tabvInfo.csv'))['SRV-ERP-01'];
  assert.equal(fact(german, 'resources.requests.memoryBytes'), 32 * GIB);
  assert.equal(fact(german, 'resources.requests.diskBytes'), 634_880 * 1024 ** 2);
});

test('Proxmox: settings and use of one guest are joined', () => {
  const estate = imported('proxmox/cluster-resources.json', 'proxmox/qm-config-101.txt', 'proxmox/qm-config-102.txt', 'proxmox/pct-config-200.txt');
  assert.deepEqual(estate.problems, []);
  assert.deepEqual(estate.workloads.map((one) => one.meta.name), ['erp-app', 'files', 'scratch-db']);
  check(estate, [
    ['erp-app', 'os.family', 'windows', 'knew'], ['erp-app', 'resources.requests.cpus', 8, 'knew'], ['erp-app', 'resources.requests.diskBytes', (120 + 1024) * GIB, 'knew'], ['erp-app', 'resources.mean.memoryBytes', 9_873_408_000, 'knew'], ['erp-app', 'os.devices', [], 'knew'], ['erp-app', 'change.currentHost', 'pve1', 'knew'],
    ['scratch-db', 'os.devices', ['hostpci0 0000:41:00'], 'knew'], ['scratch-db', 'os.gpu', undefined, 'unknown'],
    ['files', 'change.currentForm', 'osContainer', 'knew'], ['files', 'privileges.privileged', false, 'knew'], ['files', 'privileges.hostPaths', [{ path: '/srv/media', readOnly: true }], 'knew'], ['files', 'resources.requests.diskBytes', 516 * GIB, 'knew'], ['files', 'os.distribution', 'Debian', 'knew'],
  ]);
  assert.equal(workloadsOf(estate)['erp-app']!.meta.purpose, 'ERP, finance team');
});

test('incus', () => {
  const estate = imported('incus/list.json', 'incus/list-vm.json');
  assert.deepEqual(estate.problems, []);
  check(estate, [
    ['erp', 'change.currentForm', 'osContainer', 'knew'], ['erp', 'os.distribution', 'Debian', 'knew'], ['erp', 'os.version', '12', 'knew'], ['erp', 'resources.requests.diskBytes', 40 * GIB, 'knew'], ['erp', 'evidence.processes', 2, 'knew'],
    ['builder', 'resources.limits.cpus', 0.5, 'knew'], ['gateway', 'os.modules', ['wireguard', 'ip_tables'], 'knew'], ['files', 'privileges.privileged', true, 'knew'], ['files', 'privileges.hostPaths', [{ path: '/srv/media', readOnly: false }], 'knew'],
    ['dc1', 'os.family', 'windows', 'knew'], ['dc1', 'lifecycle.liveMigration', true, 'inferred'], ['dc1', 'os.devices', [], 'knew'], ['dc1', 'resources.requests.cpus', 4, 'knew'],
  ]);
});

test('virsh dumpxml', () => {
  const estate = imported('libvirt/domains.xml', 'libvirt/test-default.xml');
  assert.deepEqual(estate.problems, []);
  check(estate, [
    ['erp-db', 'os.distribution', 'Debian', 'knew'], ['erp-db', 'os.version', '12', 'knew'], ['erp-db', 'resources.requests.memoryBytes', 16 * GIB, 'knew'], ['erp-db', 'resources.requests.cpus', 8, 'knew'], ['erp-db', 'os.devices', [], 'knew'],
    ['dc01', 'os.family', 'windows', 'knew'], ['dc01', 'os.version', '2022', 'knew'], ['fw-appliance', 'os.family', 'bsd', 'knew'], ['fw-appliance', 'source.ownBootLoader', undefined, 'unknown'],
    ['nvme-db', 'os.devices', ['pci 0000:5e:00.0'], 'knew'], ['nvme-db', 'os.ownKernel', true, 'inferred'], ['nvme-db', 'os.kernelParameters', ['transparent_hugepage=never', 'isolcpus=2-7'], 'knew'],
    ['test', 'os.family', undefined, 'unknown'],
  ]);
});

test('a spreadsheet, and our own form', () => {
  const estate = imported('csv/estate.csv');
  assert.deepEqual(estate.problems, []);
  check(estate, [
    ['vpn', 'os.modules', ['wireguard', 'nf_tables'], 'knew'], ['vpn', 'inside.sshLogins', undefined, 'unknown'], ['web', 'resources.requests.memoryBytes', 4 * GIB, 'knew'], ['web', 'os.modules', [], 'knew'],
    ['payroll', 'os.family', 'windows', 'knew'], ['payroll', 'os.modules', undefined, 'unknown'], ['web', 'lifecycle.releasesPerMonth', 30, 'knew'],
  ]);
  const own = imported('berth/workloads.yaml');
  assert.deepEqual(own.problems, []);
  assert.equal(workloadsOf(own)['web']!.spec.replicasMax, 50);
});

function places(name: string): readonly string[] {
  return imported(name).problems.map(({ file, line, field }) => `${path.basename(file)}:${line ?? '-'} ${field ?? '-'}`);
}

function names(name: string): readonly string[] {
  return imported(name).workloads.map((one) => one.meta.name);
}

test('what is broken is said with file, line and field, and the rest is read', () => {
  assert.deepEqual(places('compose/broken.yaml'), ['broken.yaml:7 services.sizes.mem_limit', 'broken.yaml:8 services.sizes.cpus', 'broken.yaml:9 services.nothing', 'broken.yaml:12 services.lists.volumes']);
  assert.deepEqual(names('compose/broken.yaml'), ['good', 'lists', 'sizes']);
  assert.deepEqual(places('compose/not-yaml.yaml'), ['not-yaml.yaml:4 -']);
  assert.deepEqual(places('kubernetes/broken.yaml'), ['broken.yaml:25 -', 'broken.yaml:8 metadata.name', 'broken.yaml:15 spec.replicas', 'broken.yaml:21 spec.template.spec.containers.0.resources.limits.cpu', 'broken.yaml:21 spec.template.spec.containers.0.resources.limits.memory']);
  assert.deepEqual(names('kubernetes/broken.yaml'), ['good', 'last', 'sizes']);
  assert.deepEqual(places('rvtools/broken_tabvInfo.csv'), ['broken_tabvInfo.csv:5 -', 'broken_tabvInfo.csv:4 VM', 'broken_tabvInfo.csv:2 Memory']);
  assert.deepEqual(names('rvtools/broken_tabvInfo.csv'), ['SRV-ERP-01', 'SRV-LEGACY']);
  assert.deepEqual(places('proxmox/broken.txt'), ['broken.txt:5 -', 'broken.txt:1 cores', 'broken.txt:6 scsi0']);
  assert.deepEqual(places('csv/broken.csv'), ['broken.csv:1 colour', 'broken.csv:3 os', 'broken.csv:3 memory', 'broken.csv:3 environment', 'broken.csv:4 name']);
  assert.deepEqual(names('csv/broken.csv'), ['bad', 'good', 'last']);
  assert.deepEqual(places('berth/broken.yaml'), ['broken.yaml:5 spec.replicas', 'broken.yaml:4 spec.os.familly', 'broken.yaml:8 meta.name']);
  assert.deepEqual(names('berth/broken.yaml'), ['fine', 'typo']);
});

test('a broken file among good ones costs itself alone', () => {
  const good = fs.readFileSync(path.join(FIXTURES, 'berth/workloads.yaml'), 'utf8');
  const bad: Readonly<Record<string, string>> = {
    'cut.json': '[{"Id": "1", "Config": {', 'cut.xml': '<domain><name>a</name>', 'bomb.xml': '<!DOCTYPE a [<!ENTITY b "c">]><a/>', 'nul.txt': 'a\0b', 'empty.yaml': '', 'prose.txt': 'Dear all, here is our estate.',
    'deep.yaml': '['.repeat(50_000), 'deep.json': `${'['.repeat(50_000)}${']'.repeat(50_000)}`, 'proto.json': '{"services": {"a": {"image": "b"}}, "__proto__": {"x": 1}}',
    'bomb.yaml': `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.split('').map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[at]}`).join(',')}]\n`).join('')}`,
  };
  for (const [name, text] of Object.entries(bad)) {
    const estate = importEstate([{ name, text }, { name: 'good.yaml', text: good }]);
    assert.deepEqual(estate.workloads.map((one) => one.meta.name), ['erp', 'web'], name);
    assert.ok(estate.problems.length > 0 && estate.problems.every((one) => one.file === name), `${name}: ${JSON.stringify(estate.problems)}`);
  }
});

function compose(project: string): string {
  return `name: ${project}\nservices:\n  db: { image: "example/db:1" }\n`;
}

test('namesakes of two projects are two workloads', () => {
  const estate = importEstate([{ name: 'a.yaml', text: compose('shop') }, { name: 'b.yaml', text: compose('blog') }]);
  assert.deepEqual(estate.workloads.map((one) => one.meta.name), ['blog/db', 'shop/db']);
  const twice = importEstate([{ name: 'a.yaml', text: 'kind: Workload\nmeta: { name: x }\n' }, { name: 'b.yaml', text: 'kind: Workload\nmeta: { name: x }\n' }]);
  assert.equal(twice.workloads.length, 1);
  assert.match(twice.problems[0]!.message, /described twice/);
});

test('texts made to be slow to read are not', () => {
  const long = 200_000;
  const slow: Readonly<Record<string, string>> = {
    'lines.txt': `rootfs: a\n${'\n'.repeat(long)}x`, 'blank.txt': `ostype: l26\n${' '.repeat(long)}\n`,
    'port.yaml': `services: { a: { image: b, ports: ["${'1'.repeat(60_000)}x"] } }\n`, 'variable.yaml': `services: { a: { image: "${'${A-'.repeat(15_000)}" } }\n`,
    'secret.yaml': `services: { a: { image: b, environment: ["X=${'a+'.repeat(30_000)}"] } }\n`, 'os.csv': `VM,Powerstate,CPUs,OS according to the configuration file\na,poweredOn,1,${'windows '.repeat(4000)}\n`,
    'quotes.csv': `name,os\n${'a,"\n'.repeat(long / 4)}`, 'entity.xml': `<domain><name>${'&amp;'.repeat(long / 5)}</name></domain>`, 'attributes.xml': `<domain ${'a'.repeat(long)}`,
  };
  for (const [name, text] of Object.entries(slow)) {
    const before = process.cpuUsage(); // of this process: whatever else the machine does meanwhile
    importEstate([{ name, text }]);
    const tookMs = process.cpuUsage(before).user / 1000;
    assert.ok(tookMs < 3000, `${name} took ${Math.round(tookMs)} ms`);
  }
});
