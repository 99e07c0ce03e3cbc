import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diskCommandLine, type DiskMachinePlan } from './disk-command-line.ts';

const plan: DiskMachinePlan = {
  qemu: '/usr/bin/qemu-system-x86_64', name: 'abcdefghijkl', accelerator: 'tcg', memoryMiB: 1024, virtualCpus: 2, nonce: '00112233445566778899aabbccddeeff', macs: ['02:00:00:00:00:01'],
  uuid: '01234567-89ab-8def-8123-456789abcdef', firmware: 'bios', preset: 'virtio', isoCount: 0, seed: false,
};

test('a BIOS, virtio devices: the command line, whole', (t) => t.assert.snapshot(diskCommandLine(plan)));
test('UEFI, a seed and a CD-ROM, whole', (t) => t.assert.snapshot(diskCommandLine({ ...plan, firmware: 'uefi', seed: true, isoCount: 1 })));
test('AHCI and e1000, whole', (t) => t.assert.snapshot(diskCommandLine({ ...plan, preset: 'ahci-e1000', accelerator: 'kvm', seed: true, isoCount: 2 })));

test('whatever is chosen: no format is probed, nothing listens on the network, no boot program comes by it', () => {
  for (const firmware of ['bios', 'uefi'] as const) for (const preset of ['virtio', 'ahci-e1000'] as const) for (const seed of [false, true]) {
    const line = diskCommandLine({ ...plan, firmware, preset, seed, isoCount: 4, macs: ['02:00:00:00:00:01', '02:00:00:00:00:02'] });
    const after = (word: string): readonly string[] => line.flatMap((one, index) => (line[index - 1] === word ? [one] : []));
    for (const node of after('-blockdev')) assert.match(node, /^\{"driver":"raw",.*"file":\{"driver":"file","filename":"\/dev\/fdset\/\d+"(,"locking":"off")?\}\}$/);
    assert.ok(!line.some((word) => /^(-drive|-hda|-cdrom|-vnc|-spice|-monitor|-gdb|-s|-incoming)$|tcp:|vnc|user,/.test(word)));
    assert.equal(after('-device').filter((device) => device.includes('romfile=')).length, 2);
    assert.deepEqual(after('-sandbox'), ['on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']);
    assert.deepEqual(after('-device').filter((device) => device.startsWith('ide-cd,bus=ide.0')), []);
  }
});
