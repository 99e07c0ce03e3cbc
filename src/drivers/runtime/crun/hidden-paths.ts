/**
 * What an application container does not see of the kernel, and what it may only read: security.md's B01, after the
 * lists of moby and Podman. What the kernel keeps for the host's root anyway (kmsg, slabinfo, kpage*) is not in it: each
 * entry costs a mount per start. Paths that a host lacks are left out by the runtime.
 */
export const MASKED_PATHS: readonly string[] = [
  '/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/key-users', '/proc/latency_stats', '/proc/sched_debug',
  '/proc/scsi', '/proc/timer_list', '/proc/timer_stats',
  '/sys/devices/virtual/powercap', '/sys/firmware', '/sys/fs/selinux', '/sys/kernel/debug', '/sys/kernel/security', '/sys/kernel/tracing',
];

export const READ_ONLY_PATHS: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
/** A system sets its own network and IPC by sysctl; what is the whole host's the kernel keeps from its user namespace. */
export const OS_READ_ONLY_PATHS: readonly string[] = [
  ...READ_ONLY_PATHS.filter((file) => file !== '/proc/sys'),
  // Seen in every network namespace and one switch of the whole host, which cannot be turned back.
  '/proc/sys/net/netfilter/nf_hooks_lwtunnel',
];

/** How often a CPU was throttled tells what its neighbours do. One path per CPU of this host. */
export function thermalPaths(cpus: number): readonly string[] {
  return Array.from({ length: cpus }, (_, cpu) => `/sys/devices/system/cpu/cpu${cpu}/thermal_throttle`);
}
