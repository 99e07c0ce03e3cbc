/** The host's own posture: reported, never changed. */
import { finding, type Check, type Finding } from './finding.ts';

export const securityModules: Check = (host) => {
  const names = host.readText('/sys/kernel/security/lsm')?.trim() ?? '';
  const apparmor = host.readText('/sys/module/apparmor/parameters/enabled')?.trim() === 'Y';
  const enforcing = host.readText('/sys/fs/selinux/enforce')?.trim();
  const restricted = host.readText('/proc/sys/kernel/apparmor_restrict_unprivileged_userns')?.trim() === '1';
  const findings: Finding[] = [finding('lsm.modules', 'Security modules', 'info', names === '' ? 'none visible' : names, 'A second wall behind namespaces, capabilities and seccomp.')];
  findings.push(finding('lsm.apparmor', 'AppArmor', 'info', apparmor ? 'enabled' : 'not enabled', apparmor ? 'Its profiles apply to programs of the host.' : 'Berth does not need it.'));
  if (restricted) findings.push(finding('lsm.apparmor-userns', 'AppArmor: user namespaces', 'warn', 'restricted for unprivileged programs', 'Helpers that make user namespaces without root are refused.', 'Install packaging/apparmor/berth, or: sysctl kernel.apparmor_restrict_unprivileged_userns=0'));
  findings.push(finding('lsm.selinux', 'SELinux', enforcing === '1' ? 'warn' : 'info', enforcing === undefined ? 'not there' : enforcing === '1' ? 'enforcing' : 'permissive', enforcing === '1' ? 'Berth sets no labels, and was not tried with it.' : 'Berth does not need it.', enforcing === '1' ? 'Run Berth in a permissive domain.' : ''));
  return findings;
};

interface Baseline {
  readonly key: string;
  readonly wanted: string;
  readonly good: (value: number) => boolean;
  readonly why: string;
}

const BASELINE: readonly Baseline[] = [
  { key: 'kernel.kptr_restrict', wanted: '1', good: (value) => value >= 1, why: 'Kernel addresses help to break out.' },
  { key: 'kernel.dmesg_restrict', wanted: '1', good: (value) => value >= 1, why: 'The kernel log tells of the host and its other tenants.' },
  { key: 'kernel.unprivileged_bpf_disabled', wanted: '1', good: (value) => value >= 1, why: 'The BPF verifier is a large surface.' },
  { key: 'kernel.kexec_load_disabled', wanted: '1', good: (value) => value === 1, why: 'Root could replace the running kernel.' },
  { key: 'kernel.yama.ptrace_scope', wanted: '1', good: (value) => value >= 1, why: 'Programs of one user could read each other.' },
  { key: 'fs.protected_symlinks', wanted: '1', good: (value) => value === 1, why: 'Links in shared directories lead programs astray.' },
  { key: 'fs.protected_hardlinks', wanted: '1', good: (value) => value === 1, why: 'Links in shared directories lead programs astray.' },
  { key: 'fs.protected_fifos', wanted: '2', good: (value) => value >= 1, why: 'Planted pipes in shared directories catch data.' },
  { key: 'fs.protected_regular', wanted: '2', good: (value) => value >= 1, why: 'Planted files in shared directories catch data.' },
  { key: 'fs.suid_dumpable', wanted: '0', good: (value) => value === 0, why: 'Core dumps of privileged programs hold secrets.' },
  { key: 'vm.unprivileged_userfaultfd', wanted: '0', good: (value) => value === 0, why: 'It widens races in the kernel.' },
  { key: 'kernel.io_uring_disabled', wanted: '1', good: (value) => value >= 1, why: 'A large surface that containers are refused already.' },
];

export const sysctls: Check = (host) => BASELINE.flatMap(({ key, wanted, good, why }) => {
  const text = host.readText(`/proc/sys/${key.replaceAll('.', '/')}`)?.trim();
  if (text === undefined) return [];
  return [good(Number(text))
    ? finding(`sysctl.${key}`, key, 'ok', text, why)
    : finding(`sysctl.${key}`, key, 'info', text, why, `sysctl ${key}=${wanted}`)];
});

export const cpuWeaknesses: Check = (host) => {
  const dir = '/sys/devices/system/cpu/vulnerabilities';
  const open = host.list(dir).filter((name) => host.readText(`${dir}/${name}`)?.startsWith('Vulnerable') === true);
  return [finding('host.cpu', 'CPU weaknesses', open.length === 0 ? 'ok' : 'info', open.length === 0 ? 'none left open' : open.join(', '), open.length === 0 ? 'Mitigated, or not affected.' : 'A neighbour on the same core may learn from it; virtual machines do not help against all of them.', open.length === 0 ? '' : 'Update the microcode and the kernel.')];
};

export const corePattern: Check = (host) => {
  const pattern = host.readText('/proc/sys/kernel/core_pattern')?.trim() ?? '';
  const pipe = pattern.startsWith('|');
  return [finding('host.core-pattern', 'Core dumps', 'info', pattern === '' ? 'off' : pattern, pipe ? 'Crashes inside containers start that program on the host; core size is 0 for instances unless a spec says otherwise.' : 'Core size is 0 for instances unless a spec says otherwise.')];
};

export const HARDENING_CHECKS: readonly Check[] = [securityModules, sysctls, cpuWeaknesses, corePattern];
