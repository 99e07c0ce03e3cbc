import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelCommandLine, qemuCommandLine, type MachinePlan } from './command-line.ts';

const plan: MachinePlan = {
  qemu: '/usr/bin/qemu-system-x86_64', name: 'abcdefghijkl', accelerator: 'tcg', memoryMiB: 256, virtualCpus: 1, tscKhz: 2_600_000, nonce: '00112233445566778899aabbccddeeff',
  upperDisk: true, macs: ['02:00:00:00:00:01'], volumes: [{ serial: 'v0-data', readOnly: false }],
};

test('the command line, whole', () => {
  assert.deepEqual(qemuCommandLine(plan), [
    '/usr/bin/qemu-system-x86_64', '-name', 'guest=abcdefghijkl berth.nonce=00112233445566778899aabbccddeeff', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-msg', 'timestamp=on', '-trace', 'qemu_system_shutdown_request',
    '-machine', 'microvm,acpi=on,rtc=on,pic=off,pit=off,dump-guest-core=off', '-accel', 'tcg,tb-size=32', '-cpu', 'qemu64,-cx16', '-m', '256', '-smp', '1',
    '-bios', 'qboot.rom', '-kernel', '/kernel/vmlinux', '-initrd', '/kernel/initramfs',
    '-append', 'reboot=t panic=-1 loglevel=4 cryptomgr.notests audit=0 initcall_blacklist=init_kprobe_trace,init_trace_printk_function_export,crypto_kdf108_init tsc_early_khz=2600000 tsc=reliable noreplace-smp berth.nonce=00112233445566778899aabbccddeeff',
    '-add-fd', 'fd=5,set=5', '-add-fd', 'fd=6,set=6', '-add-fd', 'fd=7,set=7', '-add-fd', 'fd=8,set=8', '-add-fd', 'fd=9,set=9', '-add-fd', 'fd=40,set=40',
    '-chardev', 'socket,id=qmp,fd=4,server=on,wait=off', '-mon', 'chardev=qmp,mode=control',
    '-device', 'virtio-serial-device,max_ports=6',
    '-chardev', 'socket,id=agent,fd=3,server=on,wait=off', '-device', 'virtserialport,chardev=agent,name=berth.agent,nr=1',
    '-chardev', 'file,id=state,path=/dev/fdset/9,append=on', '-device', 'virtserialport,chardev=state,name=berth.state,nr=2',
    '-chardev', 'stdio,id=stdin,signal=off', '-device', 'virtserialport,chardev=stdin,name=berth.stdin,nr=3',
    '-chardev', 'file,id=stdout,path=/dev/fdset/7,append=on', '-device', 'virtserialport,chardev=stdout,name=berth.stdout,nr=4',
    '-chardev', 'file,id=stderr,path=/dev/fdset/8,append=on', '-device', 'virtserialport,chardev=stderr,name=berth.stderr,nr=5',
    '-blockdev', '{"driver":"raw","node-name":"root","read-only":true,"file":{"driver":"file","filename":"/dev/fdset/5","locking":"off"}}', '-device', 'virtio-blk-device,drive=root,serial=root',
    '-blockdev', '{"driver":"raw","node-name":"upper","read-only":false,"discard":"unmap","file":{"driver":"file","filename":"/dev/fdset/6"}}', '-device', 'virtio-blk-device,drive=upper,serial=upper,werror=report',
    '-blockdev', '{"driver":"raw","node-name":"volume0","read-only":false,"discard":"unmap","file":{"driver":"file","filename":"/dev/fdset/40"}}', '-device', 'virtio-blk-device,drive=volume0,serial=v0-data,werror=report',
    '-netdev', 'tap,id=net0,fd=20', '-device', 'virtio-net-device,netdev=net0,mac=02:00:00:00:00:01',
    '-device', 'virtio-rng-device', '-device', 'virtio-balloon-device,id=balloon,free-page-reporting=on',
    '-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
  ]);
});

test('a machine on real hardware is told nothing that only an emulated one needs', () => {
  const line = qemuCommandLine({ ...plan, accelerator: 'kvm', virtualCpus: 2, upperDisk: false, macs: [] });
  assert.deepEqual(line.slice(line.indexOf('-accel'), line.indexOf('-m')), ['-accel', 'kvm', '-cpu', 'host']);
  assert.ok(!line.includes('fd=6,set=6') && !line.some((word) => word.startsWith('tap,')));
  assert.doesNotMatch(kernelCommandLine({ ...plan, accelerator: 'kvm' }), /tsc_early|noreplace/);
  assert.doesNotMatch(kernelCommandLine({ ...plan, virtualCpus: 2 }), /noreplace/);
});

test('translated code has room by the size of the machine, and no more than a system can use', () => {
  const room = (memoryMiB: number) => qemuCommandLine({ ...plan, memoryMiB }).find((word) => word.startsWith('tcg,'));
  assert.deepEqual([128, 256, 1024, 4096, 65_536].map(room), ['tcg,tb-size=32', 'tcg,tb-size=32', 'tcg,tb-size=128', 'tcg,tb-size=512', 'tcg,tb-size=512']);
});

test('every guest keeps its address space random and its console silent', () => {
  assert.doesNotMatch(kernelCommandLine(plan), /norandmaps|nokaslr|mitigations|console=/);
});

test('a template has its memory in a file of its own and leads nowhere; who resumes from it sees it privately, and its devices are the same', () => {
  const [template, clone] = (['template', 'clone'] as const).map((memory) => qemuCommandLine({ ...plan, memory }));
  const object = (share: string): string => `memory-backend-file,id=ram,size=256M,mem-path=/ram,share=${share}`;
  assert.ok(template!.includes(object('on')) && !template!.includes('-incoming') && !template!.includes('-netdev'));
  assert.ok(clone!.includes(object('off')) && clone!.join(' ').includes('-incoming defer'));
  const devices = (line: readonly string[]): readonly string[] => line.flatMap((word, index) => (word === '-device' ? [line[index + 1]!.replace('netdev=net0,', '')] : []));
  assert.deepEqual(devices(template!), devices(clone!));
  assert.deepEqual(devices(clone!), devices(qemuCommandLine(plan)).map((device) => device.replace('netdev=net0,', '')));
  assert.ok(clone!.includes('-sandbox') && template!.includes('-sandbox'));
});

test('a machine that shares directories has memory that others may have too, and a device and a descriptor for each', () => {
  const line = qemuCommandLine({ ...plan, shares: 2 });
  assert.equal(line[line.indexOf('-object') + 1], 'memory-backend-memfd,id=ram,size=256M,share=on');
  assert.match(line[line.indexOf('-machine') + 1]!, /,memory-backend=ram$/);
  assert.deepEqual(line.filter((word) => word.includes('share1')), ['socket,id=share1,fd=61', 'vhost-user-fs-device,chardev=share1,tag=s1']);
  assert.deepEqual(qemuCommandLine({ ...plan, shares: 0 }), qemuCommandLine(plan));
});
