/** Every hostile layer is refused by the rule that is meant for it, and nothing outside changes; without the rule it is not. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DEFAULT_LAYER_LIMITS, type LayerReport } from '../../src/drivers/unpack/driver.ts';
import { createNativeUnpacker } from '../../src/drivers/unpack/native/native-unpacker.ts';
import { BerthError } from '../../src/model/errors.ts';
import { hostileLayers, type HostileLayer } from '../lib/hostile-layers.ts';
import { removeTree } from '../../src/host/remove-tree.ts';
import { builtNativeProgram } from '../lib/native-build.ts';
import { nativeWithoutRule } from '../lib/native-without-rule.ts';

const root = await fs.mkdtemp(path.join(os.tmpdir(), 'berth-unpack-'));
const canary = path.join(root, 'canary');
await fs.mkdir(canary);
await fs.writeFile(path.join(canary, 'file'), 'sing', { mode: 0o400 });
const cases = hostileLayers(canary);
after(() => removeTree(root));

async function canaryState(): Promise<string> {
  const names = await fs.readdir(canary);
  const stats = await Promise.all(['.', ...names].map(async (name) => {
    const { mode, uid, gid, size, mtimeMs, ctimeMs, nlink } = await fs.lstat(path.join(canary, name));
    return { name, mode, uid, gid, size, mtimeMs, ctimeMs, nlink };
  }));
  return JSON.stringify({ stats, text: await fs.readFile(path.join(canary, 'file'), 'utf8') });
}

async function attempt(one: HostileLayer, program?: string): Promise<LayerReport | BerthError> {
  const target = await fs.mkdtemp(path.join(root, 'layer-'));
  const blob = `${target}.blob`;
  await fs.writeFile(blob, one.bytes);
  try {
    return await createNativeUnpacker(program === undefined ? {} : { program }).unpack(
      { file: blob, compression: one.compression ?? 'none' }, target, { ...DEFAULT_LAYER_LIMITS, deadlineMs: 60_000, ...one.limits });
  } catch (error) {
    assert.ok(error instanceof BerthError, String(error));
    return error;
  } finally {
    await removeTree(target);
    await fs.rm(blob);
  }
}

function describeOutcome(outcome: LayerReport | BerthError): string {
  return outcome instanceof BerthError ? `${outcome.code}/${String(outcome.details?.['rule'])}` : 'unpacked';
}

before(() => builtNativeProgram());

describe('hostile layers', () => {
  let before = '';
  it('has a canary to watch', async () => {
    before = await canaryState();
    assert.match(before, /sing/);
  });

  for (const one of cases) {
    it(`${one.id} ${one.name}: refused by ${one.rule}`, async () => {
      const outcome = await attempt(one);
      assert.equal(describeOutcome(outcome), `${one.code}/${one.rule}`, outcome instanceof BerthError ? outcome.message : '');
      assert.equal(await canaryState(), before);
    });
  }
});

describe('without its rule', () => {
  const guards = [...new Set(cases.flatMap((one) => (one.guard === undefined ? [] : [one.guard])))];
  for (const guard of guards) {
    it(`${guard}: its cases are no longer refused by it`, async () => {
      const program = await nativeWithoutRule(root, guard);
      for (const one of cases.filter((candidate) => candidate.guard === guard)) {
        assert.notEqual(describeOutcome(await attempt(one, program)), `${one.code}/${one.rule}`, one.name);
      }
      await fs.rm(program);
    });
  }
});
