/**
 * Figures for hosts that were not calibrated: measured on one host, with emulated VMs, and marked as such wherever they
 * are used. Memory and disk say something about other hosts; the times of emulated VMs say only which is slower.
 */
import type { Figures, Measured } from '../model/figures.ts';

const MIB = 1024 * 1024;

function measured(value: number, n: number, source: string, more: { readonly spread?: number; readonly transferable?: boolean } = {}): Measured {
  return { value, n, date: '2026-07', source, transferable: more.transferable ?? true, ...(more.spread === undefined ? {} : { spread: more.spread }) };
}

const BENCH = 'docs/reference/benchmarks.md, npm run bench';
const PROTOTYPE = 'prototype on the same host';

export const SHIPPED_FIGURES: Figures = {
  host: 'One small host: 2 cores, Debian 12, kernel 6.18, no working KVM (VMs emulated); not yours.',
  shipped: true,
  hardwareVirtualization: false,
  forms: {
    appContainer: {
      startColdMs: measured(61, 15, `${BENCH}: berth run --rm busybox true`),
      startWarmMs: measured(47, 15, `${BENCH}: API create, start, wait, delete`),
      memoryOverheadBytes: measured(0.38 * MIB, 300, `${BENCH}: PSS of monitor and payload, 300 running`),
      diskBytes: measured(16 * 1024, 100, `${PROTOTYPE}: empty upper directory of an overlay`),
      idleCpu: measured(0, 100, `${PROTOTYPE}: idle busybox`),
    },
    osContainer: {
      startColdMs: measured(600, 3, `${PROTOTYPE}: Debian 12 with systemd to running, cold cache`, { spread: 100 }),
      startWarmMs: measured(188, 3, `${PROTOTYPE}: Debian 12 with systemd to running`, { spread: 16 }),
      memoryOverheadBytes: measured(10.2 * MIB, 60, `${PROTOTYPE}: Debian 12 with systemd and ssh, PSS each of 60`),
      diskBytes: measured(16 * 1024, 60, `${PROTOTYPE}: empty upper directory of an overlay`),
    },
    microVM: {
      startColdMs: measured(1890, 15, `${BENCH}: berth run --vm --rm busybox true, emulated`, { transferable: false }),
      memoryOverheadBytes: measured(137 * MIB, 5, `${PROTOTYPE}: guest of 128 MiB, PSS of QEMU each of 5`),
      diskBytes: measured(4.3 * MIB, 10, `${PROTOTYPE}: empty ext4 upper disk`),
      idleCpu: measured(0.036, 5, `${PROTOTYPE}: right after boot, emulated`, { spread: 0.002, transferable: false }),
    },
    vm: {
      startColdMs: measured(10_700, 5, `${PROTOTYPE}: Debian 12 with systemd to running, emulated`, { spread: 400, transferable: false }),
      memoryOverheadBytes: measured(430 * MIB, 1, `${PROTOTYPE}: guest of 512 MiB, Debian 12 with systemd and ssh, PSS of QEMU`),
      diskBytes: measured(251 * MIB, 1, `${PROTOTYPE}: root disk of Debian 12 with systemd and ssh`),
    },
  },
};
