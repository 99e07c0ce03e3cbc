import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergePatch } from '../lib/merge-patch.ts';
import { networkSpec } from '../model/network.ts';
import { instanceSpec } from '../model/instance.ts';
import { FIELD_TABLE } from './generated/field-table.ts';
import { metaPatch, specPatch } from './manifest-difference.ts';

const INSTANCE = FIELD_TABLE['Instance']!;
const stored = (spec: object) => instanceSpec.parse(spec) as Readonly<Record<string, unknown>>;

test('what the daemon filled in is no difference', () => {
  const wish = { image: 'a', ports: [{ targetPort: 80 }], volumes: [{ volume: 'd', target: '/d' }], capabilities: { add: ['NET_RAW'] }, env: { A: '1' } };
  assert.equal(specPatch(wish, stored({ ...wish, running: true }), INSTANCE), undefined);
  assert.equal(specPatch({}, networkSpec.parse({}), FIELD_TABLE['Network']!), undefined);
});

test('a changed field is patched, a missing one is unset, running is left alone', () => {
  const wish = { image: 'b', cpus: 2 };
  const current = stored({ image: 'a', cpus: 2, memoryBytes: 8_388_608, running: true });
  assert.deepEqual(specPatch(wish, current, INSTANCE), { image: 'b', memoryBytes: null });
});

test('applying the patch makes the wish, members of maps that are gone included', () => {
  const cases: readonly (readonly [object, object])[] = [
    [{ image: 'a', env: { A: '2', C: '3' } }, { image: 'a', env: { A: '1', B: '1' } }],
    [{ image: 'a', ports: [{ targetPort: 81 }] }, { image: 'a', ports: [{ targetPort: 80 }, { targetPort: 81 }] }],
    [{ image: 'a', restart: { policy: 'always' } }, { image: 'a', restart: { policy: 'on-failure', maxRetries: 3 } }],
    [{ image: 'a' }, { image: 'a', networks: [] }],
    [{ image: 'a', networks: [] }, { image: 'a' }],
  ];
  for (const [wish, current] of cases) {
    const patch = specPatch(wish as never, stored(current), INSTANCE);
    assert.notEqual(patch, undefined);
    const patched = mergePatch(stored(current), patch);
    assert.deepEqual(instanceSpec.parse(patched), instanceSpec.parse(wish));
    assert.equal(specPatch(wish as never, instanceSpec.parse(patched) as never, INSTANCE), undefined, 'the second time nothing differs');
  }
});

test('labels, owner and purpose', () => {
  assert.equal(metaPatch({ name: 'a' }, { name: 'a', id: 'x', generation: 3 }), undefined);
  assert.equal(metaPatch({ name: 'a', labels: {} }, { name: 'a' }), undefined);
  assert.deepEqual(metaPatch({ labels: { a: '1' } }, { labels: { a: '1', b: '2' }, owner: 'ann' }), { labels: { a: '1', b: null }, owner: null });
});
