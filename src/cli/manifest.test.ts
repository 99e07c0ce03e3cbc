import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BerthError } from '../model/errors.ts';
import type { Context } from './command.ts';
import { parseManifests, readManifests } from './manifest.ts';

const refused = (text: string, message: RegExp) => assert.rejects(parseManifests(text, 'x.yaml'), (error) => error instanceof BerthError && message.test(`${error.message} ${error.hint ?? ''}`));

test('several documents, JSON, lists and what get prints', async () => {
  const text = `
kind: Network
meta: { name: front }
---
{"apiVersion": "berth/v1", "kind": "Instance", "meta": {"name": "web", "project": "p", "id": "x", "generation": 4, "labels": {"a": "1"}}, "spec": {"image": "busybox"}, "status": {"state": "running"}}
---
# nothing here
---
- kind: volume
  meta: { name: data }
  spec: { type: filesystem }
---
kind: InstanceList
items: [{ kind: Instance, meta: { name: two }, spec: { image: b } }]
`;
  const found = await parseManifests(text, 'x.yaml');
  assert.deepEqual(found.map(({ kind, name }) => [kind, name]), [['Network', 'front'], ['Instance', 'web'], ['Volume', 'data'], ['Instance', 'two']]);
  assert.deepEqual(found[1], { kind: 'Instance', singular: 'instance', name: 'web', project: 'p', spec: { image: 'busybox' }, meta: { name: 'web', labels: { a: '1' } } });
});

test('what is wrong is said with its place', async () => {
  await refused('a: [1', /x\.yaml is no manifest: .*line 1/);
  await refused('kind: Instance\nkind: Volume\n', /no manifest: .*unique/);
  await refused('hello', /document 1 is not an object/);
  await refused('kind: Instnce\nmeta: {name: a}\n', /Did you mean instance/);
  await refused('kind: Image\nmeta: {name: a}\n', /cannot describe images/);
  await refused('kind: Instance\nspec: {}\n', /has no meta\.name/);
  await refused('kind: Instance\nmetadata: {name: a}\n', /It is called meta here/);
  await refused('apiVersion: v1\nkind: Instance\nmeta: {name: a}\n', /of version 'v1'/);
  await refused('kind: Instance\nmeta: {name: a}\nspec: [1]\n', /must be objects/);
});

test('a bomb of aliases is refused', async () => {
  const levels = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (let at = 1; at < 9; at++) levels.push(`${'abcdefghi'[at]}: &${'abcdefghi'[at]} [${Array(9).fill(`*${'abcdefghi'[at - 1]}`).join(', ')}]`);
  await refused(levels.join('\n'), /cannot be read/);
});

test('networks before volumes before instances; nothing twice', async () => {
  const input = (text: string): Context => ({ stdio: { async *input() { yield Buffer.from(text); } } }) as unknown as Context;
  const instance = 'kind: Instance\nmeta: {name: a}\nspec: {image: b}\n';
  const sorted = await readManifests(input(`${instance}---\nkind: Volume\nmeta: {name: v}\n---\nkind: Network\nmeta: {name: n}\n---\nkind: Project\nmeta: {name: p}\n`), ['-']);
  assert.deepEqual(sorted.map((one) => one.kind), ['Project', 'Network', 'Volume', 'Instance']);
  await assert.rejects(readManifests(input(`${instance}---\n${instance}`), ['-']), /described twice/);
  await assert.rejects(readManifests(input(''), ['-']), /There is no object/);
  await assert.rejects(readManifests(input(''), []), /Say which manifest/);
});
