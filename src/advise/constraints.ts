/**
 * Hard constraints: what takes a form away, whatever the score says. A fact that is unknown takes nothing away. Each row
 * is one rule; a further rule can only take more away.
 */
import { FORM_LABEL, FORMS, type Form } from '../model/forms.ts';
import { meaningOfPath } from './host-paths.ts';
import { ALL_BUT_VM, CONTAINERS, VMS, type Subject } from './subject.ts';
import { hardwareDemand } from './trust-need.ts';

export interface Ban {
  readonly forms: readonly Form[];
  /** A whole sentence. */
  readonly reason: string;
  readonly fields: readonly string[];
  /** 1–3: how strongly it says that the workload belongs on the host itself. */
  readonly host?: number;
  /** 1–3: how strongly it says that nothing fits as asked. */
  readonly refuse?: number;
}

export interface Constraint {
  readonly id: string;
  /** What is asked, for the reference page. */
  readonly rule: string;
  readonly judge: (subject: Subject) => Ban | undefined;
}

/** Settings that every network or IPC namespace has for itself; the rest belong to the kernel. */
const NAMESPACED_SYSCTL = /^(net[./]|kernel[./](shm|msg|sem)|fs[./]mqueue)/;
/** What a container never gets, not even inside its own user namespace. */
const KERNEL_CAPABILITIES = ['SYS_RAWIO', 'SYS_TIME', 'SYSLOG', 'BPF', 'PERFMON', 'MAC_ADMIN', 'MAC_OVERRIDE'];
const list = (all: readonly string[]): string => [...all].sort().join(', ');
const APP_FORMS: readonly Form[] = ['appContainer', 'microVM'];

export const CONSTRAINTS: readonly Constraint[] = [
  {
    id: 'foreign-system',
    rule: 'Another operating system than Linux needs a machine of its own.',
    judge: ({ spec: { os } }) => (os?.family === undefined || os.family === 'linux' ? undefined
      : { forms: ALL_BUT_VM, reason: `It runs on ${os.family === 'other' ? 'a system that is not Linux' : os.family === 'bsd' ? 'BSD' : 'Windows'}; only a VM starts another operating system.`, fields: ['os.family'] }),
  },
  {
    id: 'own-kernel',
    rule: 'A kernel of its own (certified, old, patched) runs only in a VM.',
    judge: ({ spec: { os } }) => {
      if (os?.ownKernel !== true && os?.kernelVersion === undefined) return undefined;
      const which = os.kernelVersion === undefined ? 'a kernel of its own' : `kernel ${os.kernelVersion}`;
      return { forms: ALL_BUT_VM, reason: `It needs ${which}; containers run on the host’s kernel and a microVM on Berth’s.`, fields: ['os.ownKernel', 'os.kernelVersion'] };
    },
  },
  {
    id: 'boot-loader',
    rule: 'An appliance that comes with its boot loader and kernel is a machine.',
    judge: ({ spec: { source } }) => (source?.ownBootLoader !== true ? undefined
      : { forms: ALL_BUT_VM, reason: 'Its disk image brings a boot loader and a kernel; only a VM boots it.', fields: ['source.ownBootLoader'] }),
  },
  {
    id: 'kernel-modules',
    rule: 'Loading kernel modules is for machines with a kernel of their own.',
    judge: ({ spec: { os, privileges } }) => {
      const modules = os?.modules ?? [];
      if (modules.length === 0 && privileges?.capabilities?.includes('SYS_MODULE') !== true) return undefined;
      const what = modules.length === 0 ? 'kernel modules' : `the kernel module${modules.length > 1 ? 's' : ''} ${list(modules)}`;
      return { forms: ALL_BUT_VM, reason: `It loads ${what}; a container may not touch the host’s kernel, and a microVM’s kernel is fixed.`, fields: ['os.modules', 'privileges.capabilities'] };
    },
  },
  {
    id: 'kernel-parameters',
    rule: 'Parameters of the kernel’s command line need a kernel of one’s own.',
    judge: ({ spec: { os } }) => ((os?.kernelParameters ?? []).length === 0 ? undefined
      : { forms: ALL_BUT_VM, reason: `It sets kernel parameters (${list(os!.kernelParameters!)}); they hold for a whole kernel, so it needs its own.`, fields: ['os.kernelParameters'] }),
  },
  {
    id: 'raw-devices',
    rule: 'Devices are driven from a VM that they are passed through to.',
    judge: ({ spec: { os } }) => ((os?.devices ?? []).length === 0 ? undefined
      : { forms: ALL_BUT_VM, reason: `It drives devices of its own (${list(os!.devices!)}); a container would drive them with the host’s kernel, a microVM has no bus for them.`, fields: ['os.devices'] }),
  },
  {
    id: 'gpu',
    rule: 'A GPU passed through whole needs a VM; a shared one needs the host’s driver.',
    judge: ({ spec: { os } }) => {
      if (os?.gpu === 'passthrough') return { forms: ALL_BUT_VM, reason: 'It wants a GPU for itself; only a VM has a bus to pass it through to.', fields: ['os.gpu'] };
      return os?.gpu === 'shared' ? { forms: VMS, reason: 'It shares a GPU; that works through the host’s driver, which VMs do not see.', fields: ['os.gpu'] } : undefined;
    },
  },
  {
    id: 'nested-vms',
    rule: 'Starting VMs inside needs a VM.',
    judge: ({ spec: { os } }) => (os?.nestedVirtualization !== true ? undefined
      : { forms: ALL_BUT_VM, reason: 'It starts VMs itself; containers get no access to the host’s virtualization, and a microVM’s kernel has none.', fields: ['os.nestedVirtualization'] }),
  },
  {
    id: 'kernel-settings',
    rule: 'Settings of the whole kernel cannot be changed from a container.',
    judge: ({ spec: { os, privileges } }) => {
      const global = (os?.sysctls ?? []).filter((name) => !NAMESPACED_SYSCTL.test(name));
      const capabilities = (privileges?.capabilities ?? []).filter((name) => KERNEL_CAPABILITIES.includes(name));
      const own = os?.ebpf === 'own' ? ['eBPF programs'] : [];
      if (global.length + capabilities.length + own.length === 0) return undefined;
      return {
        forms: CONTAINERS, reason: `It reaches into the kernel (${list([...global, ...capabilities, ...own])}), which all containers of a host share.`,
        fields: ['os.sysctls', 'os.ebpf', 'privileges.capabilities'],
      };
    },
  },
  {
    id: 'init',
    rule: 'App forms start one application, not an init.',
    judge: ({ spec: { inside } }) => (inside?.needsInit !== true ? undefined
      : { forms: APP_FORMS, reason: 'It needs an init; app forms start one application and nothing before it.', fields: ['inside.needsInit'] }),
  },
  {
    id: 'live-migration',
    rule: 'Only VMs move between hosts while they run.',
    judge: ({ spec: { lifecycle } }) => (lifecycle?.liveMigration !== true ? undefined
      : { forms: ALL_BUT_VM, reason: 'It must move between hosts without a stop; only VMs do.', fields: ['lifecycle.liveMigration'] }),
  },
  {
    id: 'vendor',
    rule: 'A form that the vendor does not support is none.',
    judge: ({ spec: { change } }) => {
      if (change?.supportedForms === undefined) return undefined;
      const supported = change.supportedForms;
      const words = FORMS.filter((form) => supported.includes(form)).map((form) => FORM_LABEL[form]).join(', ');
      return { forms: FORMS.filter((form) => !supported.includes(form)), reason: `Its vendor supports only: ${words === '' ? 'none of our forms' : words}.`, fields: ['change.supportedForms'] };
    },
  },
  {
    id: 'start-time',
    rule: 'A form that was measured on this host as slower to start than the workload can afford is out.',
    judge: ({ spec: { lifecycle }, figures }) => {
      const limit = lifecycle?.startMs;
      if (limit === undefined || figures.shipped) return undefined;
      const late = FORMS.filter((form) => {
        const measured = figures.forms[form]?.startColdMs;
        return measured?.transferable === true && measured.value - (measured.spread ?? 0) > limit;
      });
      return late.length === 0 ? undefined : {
        forms: late, reason: `It must start within ${limit} ms; measured on this host, ${late.map((form) => `${FORM_LABEL[form]} takes ${Math.round(figures.forms[form]!.startColdMs!.value)} ms`).join(' and ')}.`,
        fields: ['lifecycle.startMs', ...late.map((form) => `figures.${form}.startColdMs`)],
      };
    },
  },
  {
    id: 'boundary',
    rule: 'Hostile code, hostile administrators, and data that may not share a kernel need a boundary of hardware.',
    judge: (subject) => {
      const demand = hardwareDemand(subject);
      return demand === undefined ? undefined
        : { forms: CONTAINERS, reason: `It needs a boundary of hardware, because ${demand.why}; containers share the host’s kernel.`, fields: demand.fields };
    },
  },
  {
    id: 'emulated',
    rule: 'An emulated VM is no security boundary.',
    judge: (subject) => {
      const demand = hardwareDemand(subject);
      return demand === undefined || subject.host.hardwareVirtualization !== false ? undefined : {
        forms: VMS, reason: `It needs a boundary of hardware, because ${demand.why}; containers share the host’s kernel, and without hardware virtualization VMs are emulated, which is no boundary.`,
        fields: [...demand.fields, 'host.hardwareVirtualization'], refuse: 2,
      };
    },
  },
  {
    id: 'privileged',
    rule: 'All privileges on the host’s kernel are root on the host.',
    judge: ({ spec: { privileges } }) => (privileges?.privileged !== true ? undefined
      : { forms: CONTAINERS, reason: 'It asks for all privileges; on a shared kernel that is root on the host.', fields: ['privileges.privileged'] }),
  },
  {
    id: 'host-root',
    rule: 'Whoever may write the host’s own directories, or speak to its engines, is root on the host.',
    judge: ({ spec: { privileges } }) => {
      const paths = (privileges?.hostPaths ?? []).filter((one) => meaningOfPath(one) === 'root' || (privileges?.privileged === true && meaningOfPath(one) === 'view'));
      return paths.length === 0 ? undefined : {
        forms: FORMS, reason: `It mounts ${list(paths.map((one) => one.path))} of the host: as a container it would be root there, and a VM has no such directory.`,
        fields: ['privileges.hostPaths', 'privileges.privileged'], refuse: 2,
      };
    },
  },
  {
    id: 'host-network',
    rule: 'The host’s own network interfaces are not in a VM.',
    judge: ({ spec: { privileges } }) => (privileges?.hostNetwork !== true ? undefined
      : { forms: VMS, reason: 'It asks for the host’s network; a VM has a network of its own.', fields: ['privileges.hostNetwork'] }),
  },
  {
    id: 'host-view',
    rule: 'What observes the host belongs on the host.',
    judge: ({ spec: { os, privileges } }) => {
      if (os?.ebpf === 'host') return { forms: FORMS, reason: 'It watches the whole host with eBPF; inside any form it would see that form, or be root on the host.', fields: ['os.ebpf'], host: 3 };
      const views = (privileges?.hostPaths ?? []).filter((one) => meaningOfPath(one) === 'view');
      if (privileges?.hostProcesses !== true && views.length === 0) return undefined;
      const what = [...(privileges?.hostProcesses === true ? ['the host’s processes'] : []), ...views.map((one) => one.path)];
      return { forms: FORMS, reason: `Its subject is the host itself (${list(what)}); a boundary around it would take away what it looks at.`, fields: ['privileges.hostProcesses', 'privileges.hostPaths'], host: 1 };
    },
  },
];
