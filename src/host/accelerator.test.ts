import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeProbe, probeAccelerator } from './accelerator.ts';

const verdict = (exitCode: number | undefined, stage: string, complaints = ''): string => judgeProbe({ exitCode, stage, complaints }).accelerator;

test('only a guest that came through all stages and ended well makes KVM', () => {
  assert.equal(verdict(85, 'ABCDEFGHIK'), 'kvm');
  assert.equal(verdict(85, 'ABCDEFGHI'), 'tcg');
  assert.equal(verdict(0, 'ABCDEFGHIK'), 'tcg');
  assert.equal(verdict(134, ''), 'tcg');
  assert.equal(verdict(undefined, 'ABCD'), 'tcg');
  assert.equal(verdict(85, 'ABCDEFGHIK', 'error: failed to set MSR 0x10a to 0x69'), 'tcg');
});

test('the reason names the place', () => {
  assert.match(judgeProbe({ exitCode: undefined, stage: 'ABCD', complaints: 'KVM internal error. Suberror: 1' }).reason, /fails: .* at its first exception/);
  assert.match(judgeProbe({ exitCode: undefined, stage: 'ABCDEFG', complaints: '' }).reason, /hangs: .* after a page fault/);
});

test('a host without the device is not asked further', async () => {
  const found = await probeAccelerator({ qemu: '/no/such/qemu', probe: '/no/such/probe', kvmDevice: '/no/such/device' });
  assert.deepEqual([found.accelerator, found.stage], ['tcg', '']);
});
