import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openControlGroups } from '../../src/host/cgroup.ts';
import { openCrunBench } from '../lib/crun-bench.ts';

using groups = openControlGroups('berth-none');

runtimeContract('crun', openCrunBench, {
  patience: 1, volumes: true, terminals: true, limits: true, grows: true, oom: true, killableMonitor: true,
  memory: { args: ['cat', groups.version === 1 ? '/sys/fs/cgroup/memory/memory.limit_in_bytes' : '/sys/fs/cgroup/memory.max'], tolerance: 0.001 },
});
