/** The one place that names implementations. */
import os from 'node:os';
import path from 'node:path';
import { describe } from '../control/journal.ts';
import type { ControlParts } from '../control/control.ts';
import type { Logger } from '../control/services.ts';
import { openDirContent } from '../drivers/content/dir/dir-content.ts';
import { bridgeNetwork } from '../drivers/network/bridge/bridge-network.ts';
import { openOciRegistries } from '../drivers/registry/oci/oci-registries.ts';
import { openCrunRuntime } from '../drivers/runtime/crun/crun-runtime.ts';
import { openQemuRuntime } from '../drivers/runtime/qemu/qemu-runtime.ts';
import { dirStorage } from '../drivers/storage/dir/dir-storage.ts';
import { openSqliteStore } from '../drivers/store/sqlite/store.ts';
import { createNativeUnpacker } from '../drivers/unpack/native/native-unpacker.ts';
import { Leases } from '../host/leases.ts';
import { NATIVE_PROGRAM } from '../host/native.ts';
import { processEvidence } from '../host/process-evidence.ts';
import type { VirtiofsdProgram } from '../host/virtiofsd.ts';
import { NAME_PATTERN } from '../model/ids.ts';
import { openAdviser } from './adviser.ts';
import { describeNode, fileBytes, hostFacts } from './describe-node.ts';
import type { DaemonOptions } from './options.ts';
import { readRegistrySettings, REGISTRIES_FILE } from './registry-settings.ts';

export type Drivers = Pick<ControlParts, 'store' | 'runtimes' | 'storage' | 'network' | 'content' | 'unpacker' | 'registries' | 'fileBytes' | 'hostFacts' | 'processEvidence' | 'adviser' | 'describeNode' | 'nodeName'> & AsyncDisposable;

export async function openDrivers(options: DaemonOptions & { readonly rootTag: string; readonly log: Logger; readonly virtiofsd?: VirtiofsdProgram | undefined }): Promise<Drivers> {
  const { rootDir, runDir, leaseDir, rootTag } = options;
  await using opened = new AsyncDisposableStack();
  const store = opened.use(await openSqliteStore(path.join(rootDir, 'state', 'store.db')));
  const leases = new Leases({ leaseDir, rootTag, rootDir });
  const network = opened.use(bridgeNetwork({ rootDir, runDir, rootTag, leaseDir, nativeProgram: NATIVE_PROGRAM, leases }));
  const unpacker = createNativeUnpacker();
  const settings = await readRegistrySettings(options.registriesFile ?? path.join(rootDir, REGISTRIES_FILE), options.registriesFile !== undefined);
  const registries = opened.use(openOciRegistries({ settings }));
  const content = opened.use(await openDirContent({ rootDir: path.join(rootDir, 'images'), layersDir: path.join(rootDir, 'l'), unpacker }));
  const container = opened.use(await openCrunRuntime({ rootDir, runDir, rootTag, nativeProgram: NATIVE_PROGRAM, crun: '/usr/bin/crun', conmon: '/usr/bin/conmon', lxcfs: '/usr/bin/lxcfs', openSandbox: () => { throw new TypeError('control opens every sandbox'); } }));
  const vm = opened.use(await openQemuRuntime({ rootDir, runDir, rootTag, nativeProgram: NATIVE_PROGRAM, conmon: '/usr/bin/conmon', leases, kernelDir: options.kernelDir, warmStart: options.warmStart, virtiofsd: options.virtiofsd, complain: (error) => options.log.warn({ error: describe(error) }, 'a microVM could not start warm, or the next of its kind will not') }));
  const runtimes = { container, vm };
  const adviser = opened.use(openAdviser());
  const rest = opened.move();
  return {
    store, network, unpacker, content, runtimes, registries, fileBytes, processEvidence, adviser,
    storage: dirStorage({ rootDir: path.join(rootDir, 'pool') }),
    nodeName: nodeName(os.hostname()),
    hostFacts: () => hostFacts(rootDir),
    describeNode: () => describeNode(runtimes),
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}

/** The host's name as an object name; a host without a usable one is `node`. */
function nodeName(hostname: string): string {
  const name = hostname.split('.')[0]!.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-');
  return NAME_PATTERN.test(name) ? name : 'node';
}
