import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseInput } from '../model/define.ts';
import { workload, type Workload } from '../model/workload.ts';
import { adviseEstate } from './advise-estate.ts';
import { decide } from './decide.ts';
import type { Answer, Decision } from './decision.ts';
import { seeded } from '../lib/seeded.ts';

/** Answer, runner-up where it is fixed, and the criteria or constraints that must stand behind it. */
const ANSWERS: Readonly<Record<string, { readonly form: Answer; readonly runnerUp?: Answer; readonly because: readonly string[] }>> = {
  '01-mysql': { form: 'appContainer', because: ['copies', 'applications'] },
  '02-web-service': { form: 'appContainer', because: ['copies', 'start', 'releases'] },
  '03-batch': { form: 'appContainer', because: ['copies', 'start'] },
  '04-third-party': { form: 'appContainer', because: ['applications', 'privileges'] },
  '04-third-party-exposed': { form: 'microVM', because: ['boundary', 'applications'] },
  '05-strangers-builds': { form: 'microVM', because: ['boundary', 'applications'] },
  '06-payment': { form: 'microVM', because: ['boundary', 'applications'] },
  '07-erp': { form: 'osContainer', runnerUp: 'vm', because: ['hands', 'applications'] },
  '08-erp-of-a-tenant': { form: 'vm', because: ['boundary', 'hands'] },
  '09-development': { form: 'osContainer', because: ['hands', 'tooling'] },
  '10-customer-web-hosts': { form: 'vm', because: ['boundary', 'hands'] },
  '11-windows': { form: 'vm', because: ['foreign-system'] },
  '12-certified': { form: 'vm', because: ['own-kernel'] },
  '13-vpn': { form: 'vm', because: ['kernel-modules'] },
  '14-appliance': { form: 'vm', because: ['boot-loader'] },
  '15-nvme-database': { form: 'vm', because: ['raw-devices', 'kernel-parameters'] },
  '16-always-up': { form: 'vm', because: ['live-migration', 'patching'] },
  '17-fat-container': { form: 'osContainer', because: ['applications', 'parts'] },
  '18-host-monitor': { form: 'host', because: ['host-view'] },
  '19-privileged': { form: 'none', because: ['host-root', 'privileged'] },
  '20-in-house': { form: 'osContainer', runnerUp: 'appContainer', because: ['effort'] },
  '21-test-environment': { form: 'appContainer', because: ['copies', 'releases'] },
  '22-orders': { form: 'appContainer', because: ['applications', 'effort'] },
  '22-orders-dr': { form: 'osContainer', because: ['hands', 'patching'] },
};

const HOST = { hardwareVirtualization: true };
const CASES = (parse(fs.readFileSync(path.join(import.meta.dirname, '../../test/fixtures/advise/cases.yaml'), 'utf8')) as unknown[]).map((one) => parseInput(workload, one, 'workload'));
const caseOf = (name: string): Workload => CASES.find((one) => one.meta.name === name)!;
const withSpec = (name: string, spec: Partial<Workload['spec']>): Workload => ({ ...caseOf(name), spec: { ...caseOf(name).spec, ...spec } });

/** What speaks for the answer: the constraints that took others away, and the criteria that score it above the rest. */
function reasonsBehind(decision: Decision): string[] {
  const criteria = decision.points.filter(({ scores, weight }) => decision.form !== 'host' && decision.form !== 'none' && weight * scores[decision.form] > 0);
  return [...decision.ruledOut.map((one) => one.constraint), ...criteria.map((one) => one.criterion)];
}

test('every case has an answer here, and every answer a case', () => {
  assert.deepEqual(CASES.map((one) => one.meta.name), Object.keys(ANSWERS));
});

for (const [name, expected] of Object.entries(ANSWERS)) {
  test(`case ${name} is ${expected.form}`, () => {
    const decision = decide(caseOf(name), { host: HOST });
    assert.equal(decision.form, expected.form);
    if (expected.runnerUp !== undefined) assert.equal(decision.runnerUp, expected.runnerUp);
    for (const reason of expected.because) assert.ok(reasonsBehind(decision).includes(reason), `${reason} is not among ${reasonsBehind(decision).join(', ')}`);
    assert.ok(decision.reasons.length > 0 && decision.reasons.every((sentence) => /^[A-Z“].*\.$/.test(sentence)), decision.reasons.join(' | '));
  });
}

/** The same words in every run. */
function randomWords(seed: number): () => string {
  const next = seeded(seed);
  return () => Array.from({ length: 8 }, () => 'abcdefghijklmnopqrstuvwxyz'[Math.floor(next() * 26)]).join('');
}

/** Every free text replaced: names, purposes, image references, distributions, modules, devices. Facts stay. */
function disguised(one: Workload, word: () => string, renamed: Map<string, string>): Workload {
  const { spec } = one;
  const words = (all: readonly string[] | undefined): string[] | undefined => all?.map(() => word());
  const text = (value: string | undefined): string | undefined => (value === undefined ? undefined : word());
  const name = (old: string): string => renamed.get(old) ?? renamed.set(old, word()).get(old)!;
  return parseInput(workload, JSON.parse(JSON.stringify({
    kind: 'Workload',
    meta: { name: name(one.meta.name), purpose: word(), owner: word() },
    spec: {
      ...spec,
      disasterRecoveryOf: spec.disasterRecoveryOf === undefined ? undefined : name(spec.disasterRecoveryOf),
      source: spec.source === undefined ? undefined : { ...spec.source, image: text(spec.source.image), diskImage: text(spec.source.diskImage) },
      os: spec.os === undefined ? undefined : {
        ...spec.os, distribution: text(spec.os.distribution), version: text(spec.os.version), modules: words(spec.os.modules), devices: words(spec.os.devices), kernelParameters: words(spec.os.kernelParameters),
      },
    },
  })), 'workload');
}

for (const seed of [1, 2, 3]) {
  test(`the same cases with random words for names and texts (seed ${seed}) have the same answers, scores and order`, () => {
    const word = randomWords(seed);
    const renamed = new Map<string, string>();
    for (const one of CASES) {
      const plain = decide(one, { host: HOST });
      const hidden = decide(disguised(one, word, renamed), { host: HOST });
      assert.equal(hidden.form, ANSWERS[one.meta.name]!.form, one.meta.name);
      assert.deepEqual([hidden.form, hidden.runnerUp, hidden.confidence, hidden.totals], [plain.form, plain.runnerUp, plain.confidence, plain.totals], one.meta.name);
    }
    const hidden = adviseEstate(CASES.map((one) => disguised(one, word, renamed)), { host: HOST });
    assert.ok(hidden.placement.some((rule) => rule.kind === 'apart' && rule.scope === 'host' && rule.groups.flat().includes(renamed.get('22-orders')!) && rule.groups.flat().includes(renamed.get('22-orders-dr')!)));
  });
}

test('case 10: without hardware virtualization no form is safe, until the owner lowers the trust demand', () => {
  const bare = decide(caseOf('10-customer-web-hosts'), { host: { hardwareVirtualization: false } });
  assert.equal(bare.form, 'none');
  assert.match(bare.reasons[0]!, /emulated, which is no boundary/);
  assert.deepEqual(bare.waysOut.map((way) => [way.form, way.drop]), [['osContainer', [{ field: 'trust.demand', to: 'lowered' }]]]);
  const lowered = withSpec('10-customer-web-hosts', { trust: { ...caseOf('10-customer-web-hosts').spec.trust, demand: 'lowered' } });
  for (const hardwareVirtualization of [true, false]) {
    const decision = decide(lowered, { host: { hardwareVirtualization } });
    assert.equal(decision.form, 'osContainer');
    assert.ok(decision.redFlags.some((one) => one.flag === 'trust lowered'));
  }
});

test('case 10: where it is not known whether the hosts have hardware virtualization, that is said', () => {
  const decision = decide(caseOf('10-customer-web-hosts'));
  assert.equal(decision.form, 'vm');
  assert.ok(decision.unknowns.some((one) => one.form === 'none' && one.changes[0]!.field === 'host.hardwareVirtualization'), JSON.stringify(decision.unknowns));
});

test('case 17: several applications in one container are a red flag', () => {
  assert.deepEqual(decide(caseOf('17-fat-container'), { host: HOST }).redFlags.map((one) => one.flag), ['several applications']);
});

test('case 19: says what to give up to become which form', () => {
  const decision = decide(caseOf('19-privileged'), { host: HOST });
  assert.deepEqual(decision.waysOut.map((way) => [way.form, way.drop.map((one) => one.field).sort()]), [
    ['microVM', ['privileges.hostPaths']],
    ['appContainer', ['privileges.hostPaths', 'privileges.privileged']],
  ]);
});

test('case 20: says what it takes to get to an app container', () => {
  const { effort } = decide(caseOf('20-in-house'), { host: HOST });
  assert.match(effort.toForm!, /lift and shift/);
  assert.match(effort.toRunnerUp!, /write a build .* write tests/);
});

test('case 22: production and its DR copy never lie on one host', () => {
  const { placement } = adviseEstate(CASES, { host: HOST });
  assert.deepEqual(placement.filter((rule) => rule.scope === 'host'), [
    { kind: 'apart', scope: 'host', groups: [['22-orders-dr'], ['22-orders']], reason: '22-orders-dr replaces 22-orders in a disaster.' },
  ]);
  const together = [withSpec('22-orders', { change: { currentHost: 'rack1' } }), withSpec('22-orders-dr', { change: { currentHost: 'rack1' } })];
  assert.deepEqual(adviseEstate(together, { host: HOST }).redFlags.map((one) => [one.flag, one.workloads]), [['production and DR on one host', ['22-orders', '22-orders-dr']]]);
  const apart = [withSpec('22-orders', { change: { currentHost: 'rack1' } }), withSpec('22-orders-dr', { change: { currentHost: 'rack2' } })];
  assert.deepEqual(adviseEstate(apart, { host: HOST }).redFlags, []);
});
