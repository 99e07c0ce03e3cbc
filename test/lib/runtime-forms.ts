/** Each runtime and form that the runtime suite runs over: what it has, and why it does not have the rest. */
import type { RuntimeCapabilities } from '../../src/drivers/runtime/contract.ts';
import { openControlGroups } from '../../src/host/cgroup.ts';
import { PATIENCE } from './patience.ts';

function limitFile(): string {
  using groups = openControlGroups('berth-none');
  return groups.version === 1 ? '/sys/fs/cgroup/memory/memory.limit_in_bytes' : '/sys/fs/cgroup/memory.max';
}

const container: RuntimeCapabilities = {
  patience: PATIENCE, exitCodes: true, application: true, streams: true, volumes: true, terminals: true, limits: true, boundedProcesses: true, grows: true, oom: true, boundedLog: true, killableMonitor: true,
  memory: { args: ['cat', limitFile()], tolerance: 0.001 },
};

const machine: RuntimeCapabilities = {
  ...container,
  // A guest under emulation boots for seconds, on a machine that other tests keep busy.
  patience: 6,
  volumes: { no: 'Its volumes are disks: test/host/qemu-volumes.test.ts writes, keeps and refuses them.' },
  // RAM and CPUs are plugged in at its start; a balloon and a quota only take away.
  grows: false,
  // The kernel keeps a part of the RAM for itself.
  memory: { args: ['sh', '-c', 'while read name kilobytes unit; do [ $name = MemTotal: ] && echo $((kilobytes * 1024)); done < /proc/meminfo'], tolerance: 0.3 },
  oom: { no: 'Its case has 64 MiB, with which no guest boots: test/host/qemu.test.ts has one with more.' },
};

const inMemory = { no: 'A process in memory has no kernel that would hold it, no terminal, no files of the host.' };
const anInit = { no: 'Its first process is the system’s init: root, with a root that is written to, and told what its own kind understands.' };

export const RUNTIMES = {
  'crun': { form: 'app container', can: container },
  'crun-os': { form: 'OS container', can: { ...container, memory: { no: 'Its system sees its own values by lxcfs: test/e2e/fields.test.ts looks at them.' } } },
  'qemu': { form: 'microVM', can: machine },
  'qemu, warm': { form: 'microVM from a template', can: machine },
  'qemu-os': {
    form: 'VM',
    can: {
      ...machine, application: anInit, exitCodes: { no: 'A system ends by its power-off, which has no code.' }, streams: { no: 'A console is one stream, and has no end of input.' },
      boundedProcesses: { no: 'Its kernel is its own: no host bounds its processes, and its init has all capabilities.' }, oom: { no: 'Its kernel kills one of its processes, and the system goes on.' },
    },
  },
  'fake': {
    form: 'none',
    can: {
      ...container, volumes: inMemory, terminals: inMemory, limits: inMemory, oom: inMemory, boundedLog: inMemory, memory: inMemory,
      killableMonitor: { no: 'Its pid is nobody’s: control’s tests take the monitor away by FakeRuntimeHost.loseMonitor.' },
    },
  },
} as const satisfies Readonly<Record<string, { readonly form: string; readonly can: RuntimeCapabilities }>>;
