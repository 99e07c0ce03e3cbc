/** J06: a compiled filter that is damaged on the disk is never the one that a container gets. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { goesRed } from '../../../../test/lib/red.ts';
import { SeccompCache } from './seccomp-cache.ts';
import { seccompProfile } from './seccomp-profile.ts';

const RULES = seccompProfile([], 'x64');
const FILTER = Buffer.from(Array.from({ length: 64 }, (_, at) => at));

async function withCache(work: (dir: string, file: string) => void | Promise<void>): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-seccomp-'));
  try {
    const compiled = path.join(dir, 'compiled');
    fs.writeFileSync(compiled, FILTER);
    const cache = new SeccompCache(path.join(dir, 'cache'), 'crun 1.8');
    assert.deepEqual(cache.prepare(RULES), { rules: RULES });
    await cache.learn(RULES, compiled);
    await work(path.join(dir, 'cache'), path.join(dir, 'cache', fs.readdirSync(path.join(dir, 'cache'))[0]!));
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

test('what was learnt is there for the next daemon', () => withCache((dir) => {
  assert.deepEqual(new SeccompCache(dir, 'crun 1.8').prepare(RULES), { bpf: FILTER.toString('base64') });
  assert.deepEqual(new SeccompCache(dir, 'crun 1.9').prepare(RULES), { rules: RULES }, 'another compiler');
}));

async function damageIsNoticed(...unseal: [((file: Buffer) => Buffer | undefined)?]): Promise<void> {
  await withCache((dir, file) => {
    const whole = fs.readFileSync(file);
    const damaged = [
      ...Array.from({ length: whole.length * 8 }, (_, bit) => whole.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))),
      ...[0, 1, 31, 32, 40, whole.length >> 1, whole.length - 8, whole.length - 1].map((length) => whole.subarray(0, length)),
      FILTER, Buffer.concat([whole, Buffer.alloc(8)]),
    ];
    for (const bytes of damaged) {
      fs.writeFileSync(file, bytes);
      assert.deepEqual(new SeccompCache(dir, 'crun 1.8', ...unseal).prepare(RULES), { rules: RULES });
    }
    fs.writeFileSync(file, whole);
    assert.deepEqual(new SeccompCache(dir, 'crun 1.8').prepare(RULES), { bpf: FILTER.toString('base64') });
  });
}

test('J06: every flipped bit, every cut and what has no seal is compiled anew', () => damageIsNoticed());
test('J06 goes red when what has the size of a filter is taken for one', () => goesRed(() => damageIsNoticed((file) => (file.length % 8 === 0 ? file.subarray(32) : undefined))));
