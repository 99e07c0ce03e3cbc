/** The runtime contract on a real QEMU whose machines resume from a template. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openQemuBench, SUITE_RESOURCES, suiteBench, type QemuBench } from '../lib/qemu-bench.ts';
import { RUNTIMES } from '../lib/runtime-forms.ts';

const templateDir = fs.mkdtempSync(path.join(os.tmpdir(), 'bq-warm-'));
let complaints: unknown[] = [];

/** Only shapes of the one template that is made before; others boot. */
const openBench = (templateDelayMs: number): Promise<QemuBench> => openQemuBench({ warmStart: 'project', templateDir, templateDelayMs, complain: (error) => { complaints.push(error); } });

before(async () => {
  await using bench = await openBench(0);
  await bench.run(['true'], { resources: SUITE_RESOURCES, root: { upperDisk: bench.disk() } });
  await bench.driver.templatesMade();
  assert.deepEqual(complaints, []);
}, { timeout: 180_000 });

after(() => { fs.rmSync(templateDir, { recursive: true, force: true }); });

runtimeContract('qemu, warm', async () => {
  complaints = [];
  const bench = await openBench(600_000);
  return suiteBench(bench, async () => {
    await bench[Symbol.asyncDispose]();
    // One that could not resume would have booted, and nobody the wiser.
    assert.deepEqual(complaints, []);
  });
}, RUNTIMES['qemu, warm'].can);
