/** The instance as a plan for a runtime: everything resolved, nothing left to interpret. Pure but for the drivers' paths. */
import type { Sandbox } from '../../drivers/network/driver.ts';
import type { InterfacePlan, MountPlan, RootPlan, UnitPlan, VolumeDiskPlan } from '../../drivers/runtime/driver.ts';
import type { Image } from '../../model/image.ts';
import { FORM_DEFAULTS } from '../../model/instance-defaults.ts';
import type { Instance } from '../../model/instance-status.ts';
import type { Network } from '../../model/network.ts';
import type { Services } from '../services.ts';
import { idOf } from './context.ts';
import { bootPlan, hostnameOf } from './boot-plan.ts';
import { capabilitiesOf, osProcessPlan, processPlan, rlimitsOf, stopSignalOf } from './process.ts';
import { resourcePlan } from './resources.ts';

export interface UnitPlanParts {
  readonly image: Image;
  readonly root: RootPlan;
  readonly kernelDir: string | undefined;
  readonly volumes: { readonly mounts: readonly MountPlan[]; readonly volumeDisks: readonly VolumeDiskPlan[] };
  /** The image has cloud-init, and there is user data for it. */
  readonly cloudInit: boolean;
  readonly sandbox: Sandbox | undefined;
  /** By port id, for VM forms. */
  readonly taps: ReadonlyMap<string, { readonly name: string; readonly bridge: string }>;
}

export function unitPlan(services: Services, instance: Instance, parts: UnitPlanParts): UnitPlan {
  const { spec, status, meta } = instance;
  const defaults = FORM_DEFAULTS[status.form];
  const hostname = hostnameOf(instance);
  const networks = status.ports.map((port) => services.registry.get<Network>('Network', meta.project, port.network));
  const interfaces: InterfacePlan[] = status.ports.map((port, index) => {
    const network = networks[index]!;
    const tap = parts.taps.get(port.portId);
    return {
      name: port.interface, mac: port.mac, mtu: 1500,
      addresses: [{ address: port.ipv4, prefixLength: network.status.ipv4.prefixLength }, { address: port.ipv6, prefixLength: network.status.ipv6.prefixLength }],
      gateways: index === 0 ? [network.status.ipv4.gateway, network.status.ipv6.gateway] : [],
      ...(tap === undefined ? {} : { tap }),
    };
  });
  const first = status.ports[0];
  const os = status.mode === 'os';
  return Object.freeze({
    id: idOf(instance), name: meta.name, project: meta.project, hostname, form: status.form,
    process: parts.root.disk !== undefined ? noProcess() : os ? osProcessPlan(spec, parts.image, status.form) : processPlan(spec, parts.image, hostname),
    stdin: spec.stdin ?? false,
    init: spec.init ?? false,
    capabilities: capabilitiesOf(spec, status.form),
    // sudo and its like are how people work on a system: the namespace is the wall.
    noNewPrivileges: !os,
    rlimits: rlimitsOf(spec, status.form),
    resources: resourcePlan(spec, status.form),
    root: parts.root,
    ...(parts.kernelDir === undefined ? {} : { kernelDir: parts.kernelDir }),
    ...parts.volumes,
    tmpfs: spec.tmpfs ?? [],
    shmBytes: spec.shmBytes ?? defaults.shmBytes,
    sysctls: {},
    network: {
      ...(parts.sandbox === undefined ? {} : { sandbox: parts.sandbox }),
      interfaces,
      nameservers: first === undefined ? [] : services.network.nameservers(networks[0]!.meta.id as never),
      searchDomains: first === undefined ? [] : [`${meta.project}.berth`],
    },
    log: spec.log ?? defaults.log,
    ...(os && parts.root.disk === undefined ? { boot: bootPlan(instance, hostname, parts.cloudInit) } : {}),
    stopSignal: stopSignalOf(spec, parts.image, status.form),
  });
}

/** What a disk boots is not ours to say. */
function noProcess(): UnitPlan['process'] {
  return { args: [], env: [], cwd: '/', user: { uid: 0, gid: 0, additionalGids: [] }, terminal: true };
}
