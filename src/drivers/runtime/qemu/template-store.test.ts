import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { TemplateStore, type Template } from './template-store.ts';

const NONCE = 'ab'.repeat(16);
const BYTES = 64 * 1024;

function place(t: TestContext): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'templates-'));
  t.after(() => { fs.rmSync(dir, { recursive: true, force: true }); });
  return dir;
}

async function put(store: TemplateStore, key: string): Promise<boolean> {
  const { dir, ramFile, stateFile } = await store.begin(key);
  fs.writeFileSync(ramFile, Buffer.alloc(BYTES, 1));
  fs.writeFileSync(stateFile, key);
  return store.admit(key, dir, NONCE);
}

const stateOf = (template: Template | undefined): string | undefined => (template === undefined ? undefined : fs.readFileSync(template.stateFile, 'utf8'));

test('what was admitted is found, also by the next store', async (t) => {
  const dir = place(t);
  const store = new TemplateStore(dir);
  await store.settle('facts');
  assert.equal(store.find('a'), undefined);
  assert.equal(await put(store, 'a'), true);
  assert.equal(stateOf(store.find('a')), 'a');
  assert.equal(store.find('a')!.nonce, NONCE);
  assert.ok(store.usage().bytes >= BYTES);
  const next = new TemplateStore(dir);
  await Promise.all([next.settle('facts'), next.settle('facts').then(() => { assert.equal(stateOf(next.find('a')), 'a'); })]);
});

test('what was not used since then is pruned, and told', async (t) => {
  const dir = place(t);
  const store = new TemplateStore(dir);
  await store.settle('facts');
  for (const key of ['a', 'b']) {
    const begun = await store.begin(key);
    for (const file of [begun.ramFile, begun.stateFile]) fs.writeFileSync(file, key);
    await store.admit(key, begun.dir, NONCE, key === 'a' ? { project: 'one', memoryBytes: 1024 } : {});
  }
  const next = new TemplateStore(dir);
  await next.settle('facts');
  const { madeAtMs, usedAtMs } = next.list()[0]!;
  assert.deepEqual(next.list().map(({ key, project, memoryBytes }) => [key, project, memoryBytes]).toSorted(), [['a', 'one', 1024], ['b', undefined, undefined]]);
  assert.deepEqual(await next.prune(Math.min(madeAtMs, usedAtMs) - 60_000), []);
  assert.deepEqual((await next.prune(Date.now() + 1)).map(({ key }) => key).toSorted(), ['a', 'b']);
  assert.deepEqual([next.usage(), fs.readdirSync(path.join(dir, 'facts'))], [{ count: 0, bytes: 0 }, []]);
});

test('when something changed that all depend on, all are gone, and what was begun before is not taken', async (t) => {
  const dir = place(t);
  const store = new TemplateStore(dir);
  await store.settle('facts');
  await put(store, 'a');
  const begun = await store.begin('b');
  fs.writeFileSync(begun.ramFile, '');
  fs.writeFileSync(begun.stateFile, '');
  await store.settle('others');
  assert.equal(store.find('a'), undefined);
  assert.deepEqual(fs.readdirSync(dir), []);
  await assert.rejects(store.admit('b', begun.dir, NONCE));
  await store.settle('facts');
  assert.equal(store.find('a'), undefined);
});

test('what a crash left behind is taken away: begun, damaged, without its files', async (t) => {
  const dir = place(t);
  const store = new TemplateStore(dir);
  await store.settle('facts');
  for (const key of ['whole', 'torn', 'headless']) await put(store, key);
  await store.begin('begun');
  fs.writeFileSync(path.join(dir, 'facts', 'torn', 'template.json'), '{"nonce":"ab');
  fs.rmSync(path.join(dir, 'facts', 'headless', 'ram'));
  const next = new TemplateStore(dir);
  await next.settle('facts');
  assert.deepEqual(fs.readdirSync(path.join(dir, 'facts')), ['whole']);
  assert.equal(stateOf(next.find('whole')), 'whole');
});

test('number and bytes are bounded; who was not used longest goes first, and who has it open keeps it', async (t) => {
  const dir = place(t);
  const store = new TemplateStore(dir, { count: 2, bytes: 1024 * BYTES });
  await store.settle('facts');
  await put(store, 'a');
  await put(store, 'b');
  const held = fs.openSync(store.find('b')!.ramFile, 'r');
  t.after(() => { fs.closeSync(held); });
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 10_000 });
  store.find('a');
  await put(store, 'c');
  assert.deepEqual(['a', 'b', 'c'].filter((key) => store.find(key) !== undefined), ['a', 'c']);
  assert.equal(fs.readSync(held, Buffer.alloc(1)), 1);
  const tight = new TemplateStore(place(t), { count: 8, bytes: BYTES / 2 });
  await tight.settle('facts');
  assert.equal(await put(tight, 'a'), false);
  assert.deepEqual(tight.usage(), { count: 0, bytes: 0 });
});
