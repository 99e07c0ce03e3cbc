import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { exampleEstate } from '../../test/lib/example-estate.ts';
import { hostileText } from '../../test/lib/hostile-text.ts';
import { parseInput } from '../model/define.ts';
import { instanceSpec } from '../model/instance.ts';
import { metaInput } from '../model/meta.ts';
import { workload as workloadSchema, type Workload, type WorkloadSpec } from '../model/workload.ts';
import { adviseEstate } from './advise-estate.ts';
import { manifestsText, writtenWorkloads } from './manifests.ts';

const GIB = 1024 ** 3;
const app = (name: string, spec: WorkloadSpec = {}): Workload => ({
  kind: 'Workload', meta: { name },
  spec: { replicas: 1, source: { kind: 'image', image: 'own/app:1', signed: true }, inside: { applications: 1 }, state: { kind: 'none' }, os: { family: 'linux' }, trust: { code: 'own', internetFacing: false }, resources: { limits: { cpus: 1, memoryBytes: GIB } }, change: { packagingExists: true }, ...spec },
});
const text = (...estate: Workload[]): string => manifestsText(estate, adviseEstate(estate));

/** As `apply` reads them: each document that is not only comments, checked by the model. */
function applied(yaml: string): { meta: { name: string }; spec: Record<string, unknown> }[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    assert.deepEqual(document.errors, []);
    const value = document.toJS() as { apiVersion: string; kind: string; meta: { name: string }; spec: Record<string, unknown> } | null;
    if (value === null) return [];
    assert.deepEqual([value.apiVersion, value.kind, Object.keys(value)], ['berth/v1', 'Instance', ['apiVersion', 'kind', 'meta', 'spec']]);
    parseInput(metaInput, value.meta, 'meta');
    parseInput(instanceSpec, value.spec, 'spec');
    return [value];
  });
}

test('the example estate: every manifest is one that the model takes, no name twice', () => {
  const estate = exampleEstate();
  const advice = adviseEstate(estate);
  const manifests = applied(manifestsText(estate, advice));
  assert.ok(manifests.length > 20);
  assert.equal(new Set(manifests.map(({ meta }) => meta.name)).size, manifests.length);
  assert.deepEqual(writtenWorkloads(estate, advice).map(({ workload }) => workload), advice.decisions.map(({ workload }) => workload), 'no workload is left out');
});

test('the form becomes isolation and mode; limits, capabilities and copies are taken over', () => {
  const [first, second, ...rest] = applied(text(app('web', { replicas: 2, privileges: { capabilities: ['NET_RAW', 'SYS_ADMIN'], readOnlyRoot: true, root: false } })));
  assert.deepEqual(rest, []);
  assert.deepEqual([first!.meta.name, second!.meta.name], ['web-1', 'web-2']);
  assert.equal(first!.spec['mode'], 'app');
  assert.deepEqual([first!.spec['image'], first!.spec['memoryBytes'], first!.spec['cpus'], first!.spec['readOnlyRoot']], ['own/app:1', GIB, 1, true]);
  assert.deepEqual(first!.spec['capabilities'], { add: ['NET_RAW'], drop: [] });
});

test('what nobody said is a comment and no default', () => {
  const yaml = text(app('web', { resources: undefined, state: undefined, replicas: undefined }));
  assert.deepEqual(Object.keys(applied(yaml)[0]!.spec), ['isolation', 'mode', 'image']);
  for (const sentence of [/# .*how much memory it may use/, /# .*how much CPU it may use/, /# .*how many copies run/, /# .*whether it keeps data/]) assert.match(yaml, sentence);
});

test('without an image there is only a draft, behind #', () => {
  const yaml = text(app('erp', { source: { kind: 'name' }, os: { family: 'linux', distribution: 'debian', version: '12' } }));
  assert.deepEqual(applied(yaml), []);
  assert.match(yaml, /# +Not ready: nobody said which image/);
  assert.match(yaml, /^# kind: Instance$/m);
  assert.match(yaml, /# +It runs on debian 12\./);
});

test('names that instances cannot have are made over, and stay different', () => {
  const names = applied(text(app('SRV ERP (old)'), app('srv-erp-old'), app('…'))).map(({ meta }) => meta.name);
  assert.equal(names.length, 3);
  assert.equal(new Set(names).size, 3);
});

test('names and words at random never leave their comment or their string', () => {
  const words = hostileText(60).map((text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '').toWellFormed()).filter((text) => text !== '');
  fc.assert(fc.property(words, words, words, (name, owner, image) => {
    const candidate = workloadSchema.safeParse({ ...app(name, { source: { kind: 'image', image }, disasterRecoveryOf: owner }), meta: { name, owner, purpose: `${image} # : - {` } });
    fc.pre(candidate.success);
    const manifests = applied(text(candidate.data!));
    assert.equal(manifests.length <= 1, true);
    for (const one of manifests) assert.equal(one.spec['image'], image);
  }));
});
