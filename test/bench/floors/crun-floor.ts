/** Containers without Berth: crun and conmon as a script would call them. No user namespace, no filter, no network, one layer. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ociSpec } from '../../../src/drivers/runtime/crun/oci-spec.ts';
import { readCeilings } from '../../../src/drivers/runtime/crun/ceilings.ts';
import { openControlGroups } from '../../../src/host/cgroup.ts';
import { MonitorExits } from '../../../src/host/monitor-exit.ts';
import { startMonitor } from '../../../src/host/monitor.ts';
import { bindReadOnlyInPlace, hideMount, inNewMountNamespace } from '../../../src/host/mounts.ts';
import { newId, type CrunBench } from '../../lib/crun-bench.ts';

export interface FloorContainer {
  readonly logFile: string;
  exec(...command: readonly string[]): Promise<void>;
  /** Sends the signal and waits for the exit record. */
  end(signal: string): Promise<void>;
  waitExit(): Promise<void>;
  remove(): Promise<void>;
}

export interface CrunFloor extends Disposable {
  /** `crun run`: nobody supervises it. */
  run(command: readonly string[]): Promise<void>;
  /** conmon, `crun create` and `crun start`. */
  start(command: readonly string[]): Promise<FloorContainer>;
}

export function openCrunFloor(bench: CrunBench): CrunFloor {
  const groups = openControlGroups('berth-bench');
  const { hide } = groups;
  const flags = ['--root', path.join(bench.rootDir, 'floor-crun'), '--cgroup-manager=disabled'];
  const exits = new MonitorExits(path.join(bench.rootDir, 'floor-exits'));
  const wrapper = path.join(bench.rootDir, 'floor-crun.sh');
  fs.writeFileSync(wrapper, `#!/bin/sh\nexec /usr/bin/crun ${flags.join(' ')} "$@"\n`, { mode: 0o700 });

  const besideCrun = <T>(fork: () => T): T => inNewMountNamespace(() => {
    if (hide !== undefined) hideMount(hide);
    bindReadOnlyInPlace('/usr/bin/crun');
    return fork();
  });

  function crun(...args: string[]): Promise<void> {
    const child = besideCrun(() => spawn('/usr/bin/crun', [...flags, ...args], { stdio: 'ignore', cwd: '/' }));
    return new Promise((resolve, reject) => { child.once('exit', (code) => { if (code === 0) resolve(); else reject(new Error(`crun ${args.join(' ')} ended with ${code}`)); }); });
  }

  function bundle(command: readonly string[]): { readonly id: ReturnType<typeof newId>; readonly dir: string } {
    const id = newId(), dir = path.join(bench.rootDir, `floor-${id}`);
    const spec = ociSpec(bench.plan(command), {
      rootPath: bench.layer, volumeSources: [], hostsFile: '/etc/hosts', hostnameFile: '/etc/hostname', resolverFile: '/etc/resolv.conf', initProgram: '', seedFile: '/run/b/m/seed', groupsType: 'cgroup2',
      userNamespacePath: '', networkNamespacePath: '', idBase: 0, idCount: 65_536, maskedPaths: [], readOnlyPaths: [], seccomp: undefined, ceilings: readCeilings(),
    });
    const own = { ...spec, mounts: spec.mounts.slice(0, 6), linux: { ...spec.linux, uidMappings: [], gidMappings: [], namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })) } };
    fs.mkdirSync(dir, { mode: 0o700 });
    fs.writeFileSync(path.join(dir, 'config.json'), JSON.stringify(own));
    return { id, dir };
  }

  return {
    async run(command) {
      const { id, dir } = bundle(command);
      await crun('run', '--bundle', dir, id);
    },
    async start(command) {
      const { id, dir } = bundle(command);
      const logFile = path.join(dir, 'log');
      await startMonitor(
        { conmon: '/usr/bin/conmon', id, dir, program: wrapper, programArgs: [], exitDir: exits.dir, logFile, logSizeMaxBytes: 1e6, terminal: false, stdin: false },
        { timeoutMs: 10_000, around: besideCrun },
      );
      await crun('start', id);
      const waitExit = async (): Promise<void> => { await exits.wait(id); };
      return {
        logFile, waitExit,
        exec: (...words) => crun('exec', id, ...words),
        async end(signal) {
          await crun('kill', id, signal);
          await waitExit();
        },
        remove: () => crun('delete', '-f', id),
      };
    },
    [Symbol.dispose]() {
      exits[Symbol.dispose]();
      groups[Symbol.dispose]();
    },
  };
}
