/**
 * Berth where it was not written: in stock Debian 12 and 13, with cgroup v2, systemd and AppArmor, on their own kernels.
 * The host lane runs there, and the whole host is rebooted, in good order and by a power cut (J14).
 * DEBIAN=bookworm|trixie takes one of them; PARTS=crun,escape-os,service takes these files of the lane, and Berth as a service.
 * What is seen stands in .build/inside-SUITE.json after each part; test/lib/inside-page.ts makes the page of it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DEBIAN_SUITES } from '../../src/drivers/content/bootstrap/debian.ts';
import { DebianVm } from '../lib/debian-vm.ts';
import { hostFilesInside } from '../lib/inside-files.ts';
import { doctorInside, SERVICE, serviceSteps } from '../lib/inside-service.ts';
import { insideFacts, partThat, recordInside, runFileInside, type InsideResult } from '../lib/inside-record.ts';

const HOURS_MS = 3_600_000;
const FILE_MS = 2_400_000;
const suites = DEBIAN_SUITES.filter((suite) => [undefined, suite].includes(process.env['DEBIAN'] as typeof suite | undefined));
const wanted = process.env['PARTS']?.split(',');
const { first, rest } = hostFilesInside(wanted);

for (const suite of suites) {
  describe(`inside Debian ${suite}`, { timeout: 12 * HOURS_MS }, () => {
    let vm: DebianVm, facts: InsideResult['facts'];

    before(async () => {
      vm = await DebianVm.boot(suite);
      facts = await insideFacts(vm.run.bind(vm));
    }, { timeout: HOURS_MS });
    after(() => vm?.[Symbol.asyncDispose](), { timeout: 600_000 });

    const part = (name: string, timeout: number, body: () => Promise<void>): void => void test(name, { timeout }, async () => {
      const beganMs = performance.now();
      const [pass, failed] = await body().then(() => [1, []] as const, (error: unknown) => [0, [error instanceof Error ? error.message : String(error)]] as const);
      recordInside(suite, facts, partThat(name, { pass, fail: failed.length, failed: failed.map((text) => text.slice(0, 2000)), beganMs }));
      assert.deepEqual(failed, []);
    });

    const file = (name: string): void => void test(`test/host/${name}`, { timeout: FILE_MS + 120_000 }, async () => {
      const { part: seen, ok, output } = await runFileInside(vm.run.bind(vm), name, FILE_MS);
      recordInside(suite, facts, seen);
      assert.ok(ok, output.slice(-20_000));
    });

    part('doctor has nothing to complain of', HOURS_MS, () => doctorInside(vm));
    first.forEach(file);
    if (wanted === undefined || wanted.includes(SERVICE)) for (const { title, timeoutMs, body } of serviceSteps(() => vm)) part(title, timeoutMs, body);
    rest.forEach(file);
  });
}
