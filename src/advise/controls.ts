/** The controls that a form brings with it: what an auditor will ask for once it is chosen. */
import type { Answer, Control } from './decision.ts';

const OS_CONTROLS: readonly Control[] = [
  { control: 'identity', sentence: 'Each person logs in with an account of their own, from one directory; no shared keys.' },
  { control: 'privilege escalation', sentence: 'Who may become root is listed, and each time is recorded.' },
  { control: 'logging', sentence: 'System and login logs leave the machine as they are written.' },
  { control: 'change management', sentence: 'A change inside is announced, recorded and can be taken back (snapshot first).' },
  { control: 'audit', sentence: 'What was changed, by whom and when, can be shown for a year.' },
  { control: 'backup', sentence: 'The root disk and the data are backed up, and a restore was tried.' },
  { control: 'patching', sentence: 'The system inside is patched within a set time, and somebody owns that.' },
  { control: 'monitoring', sentence: 'Its services, its disk and its load are watched, not just the machine.' },
  { control: 'vulnerability scanning', sentence: 'Its packages are scanned against advisories, regularly.' },
  { control: 'intrusion detection', sentence: 'Changed system files and unusual processes raise an alarm.' },
];

const APP_CONTROLS: readonly Control[] = [
  { control: 'image provenance', sentence: 'The image is signed, pinned by digest, and its origin is checked before it starts.' },
  { control: 'image scanning', sentence: 'The image is scanned when built and again when advisories change.' },
  { control: 'non-root', sentence: 'The application runs as an ordinary user.' },
  { control: 'read-only', sentence: 'The root file system is read-only; what it writes is named.' },
  { control: 'capabilities', sentence: 'All Linux capabilities that it does not need are dropped.' },
  { control: 'limits', sentence: 'Memory, cpu and processes are limited.' },
  { control: 'secrets', sentence: 'Secrets come as files or from a store, never in the image or the environment.' },
  { control: 'logging', sentence: 'It writes its log to standard output, and it is kept elsewhere.' },
  { control: 'rebuild', sentence: 'A patched base leads to a new image within a set time, without waiting for a release.' },
  { control: 'backup', sentence: 'Its volumes are backed up, and a restore was tried.' },
  { control: 'network policy', sentence: 'It reaches and is reached by what it needs, nothing else.' },
];

const KERNEL_SHARED: Control = { control: 'host kernel', sentence: 'The host’s kernel is patched and rebooted on a schedule, because all containers share it.' };
const GUEST_KERNEL: Control = { control: 'guest kernel', sentence: 'The kernel inside is patched as well as the host’s.' };
const VMM: Control = { control: 'hypervisor', sentence: 'The hypervisor is patched, and each VM’s process runs confined under a user of its own.' };

const HOST_CONTROLS: readonly Control[] = [
  { control: 'host package', sentence: 'It is installed on the host as a signed package, by configuration management.' },
  { control: 'least privilege', sentence: 'Its service runs with only the capabilities that it needs.' },
  { control: 'change management', sentence: 'It is part of what a host is, and is changed like a host.' },
];

const BY_ANSWER: Readonly<Record<Answer, readonly Control[]>> = {
  appContainer: [...APP_CONTROLS, KERNEL_SHARED],
  osContainer: [...OS_CONTROLS, KERNEL_SHARED],
  microVM: [...APP_CONTROLS, VMM],
  vm: [...OS_CONTROLS, GUEST_KERNEL, VMM],
  host: HOST_CONTROLS,
  none: [],
};

export function controlsFor(answer: Answer): readonly Control[] {
  return BY_ANSWER[answer];
}
