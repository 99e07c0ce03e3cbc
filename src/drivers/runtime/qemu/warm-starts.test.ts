import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { UnitPlan } from '../driver.ts';
import { blankPlan } from './make-template.ts';
import { WarmStarts } from './warm-starts.ts';

test('machines with kernels of their own resume from templates of that kernel alone, and are made with it', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-warm-'));
  t.after(() => { fs.rmSync(dir, { recursive: true }); });
  await using warm = new WarmStarts({ mode: 'shared', dir, qemu: '/bin/sh', delayMs: 0, make: () => assert.fail('nothing is made'), complain: (error) => assert.fail(String(error)) });
  const like = { id: '0', form: 'microVM', project: 'a', kernelDir: '/kernels/a', resources: {}, mounts: [], root: { layers: [], readOnly: false, volatile: true }, network: { interfaces: [], nameservers: [], searchDomains: [] } } as unknown as UnitPlan;
  const kernel = (digest: string) => ({ release: '6', vmlinux: '/v', initramfs: '/i', digest });
  const keys = await Promise.all([undefined, kernel('a'), kernel('b')].map((own) => warm.key(like, 'tcg', kernel('default'), own)));
  assert.equal(new Set(keys).size, 3);
  assert.equal(await warm.key(like, 'tcg', kernel('default'), kernel('a')), keys[1]);
  assert.equal(blankPlan(like, like.id, '/blank').kernelDir, '/kernels/a');
});
