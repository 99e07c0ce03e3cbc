/** The flags of run, create, launch and update, and the spec that they make. */
import { BerthError } from '../model/errors.ts';
import type { InstanceSpec } from '../model/instance.ts';
import type { MetaInput } from '../model/meta.ts';
import type { Context, Flag } from './command.ts';
import * as values from './instance-values.ts';
import { readTextFile } from './input-file.ts';
import { userData } from './user-data-file.ts';
import type { Words } from './words.ts';

/** A spec in the making. */
type Draft = { -readonly [K in keyof InstanceSpec]?: InstanceSpec[K] };

interface FieldFlag extends Flag {
  /** Puts what was given into the spec. */
  apply(spec: Draft, words: Words, context: Context): void | Promise<void>;
}

const on = (name: string, field: 'terminal' | 'stdin' | 'init' | 'readOnlyRoot' | 'removeOnExit') => (spec: Draft, words: Words): void => { spec[field] = words.on(name); };
const bytes = (name: string, field: 'memoryBytes' | 'shmBytes' | 'rootDiskBytes') => (spec: Draft, words: Words): void => { spec[field] = values.bytesValue(name, words.text(name)!); };
const word = (name: string, field: 'workdir' | 'user' | 'hostname') => (spec: Draft, words: Words): void => { spec[field] = words.text(name)!; };

/** Each is the flag of a field in the model (a test compares them), with how its value is read. */
export const FIELD_FLAGS: readonly FieldFlag[] = [
  { name: 'interactive', short: 'i', help: 'Keep standard input open.', apply: on('interactive', 'stdin') },
  { name: 'tty', short: 't', help: 'Give the process a terminal.', apply: on('tty', 'terminal') },
  { name: 'rm', help: 'Delete it when it ends.', apply: on('rm', 'removeOnExit') },
  {
    name: 'isolation', value: 'container|vm|auto', help: 'The boundary asked for; a container when missing.',
    apply(spec, words) {
      const text = words.text('isolation')!;
      if (text !== 'container' && text !== 'vm' && text !== 'auto') values.refuse('isolation', text, 'not a boundary', 'There are container, vm and auto.');
      if (words.on('vm') && text === 'container') throw new BerthError('invalid', '--vm and --isolation container contradict each other.');
      spec.isolation = text;
    },
  },
  {
    name: 'env', short: 'e', value: 'NAME[=VALUE]', repeat: true, help: 'Environment of the process; NAME alone takes the value from here.',
    apply(spec, words, context) { spec.env = { ...spec.env, ...values.environmentPairs('env', words.all('env'), context.env) }; },
  },
  {
    name: 'volume', short: 'v', value: 'VOLUME:DIR[:ro]', repeat: true, help: 'A volume, or a directory of the host (/path:DIR).',
    apply(spec, words) { spec.volumes = words.all('volume').map(values.volumeValue); },
  },
  {
    name: 'publish', short: 'p', value: '[ADDR:][HOSTPORT:]PORT[/udp]', repeat: true, help: 'A port of the host that leads inside; on loopback unless ADDR is given.',
    apply(spec, words) { spec.ports = words.all('publish').flatMap(values.portValues); },
  },
  {
    name: 'network', value: 'NAME|none', repeat: true, help: 'Networks, in the order of eth0, eth1 …; `default` when missing.', also: ['net'],
    apply(spec, words) { spec.networks = networkList(words.all('network')); },
  },
  { name: 'user', short: 'u', value: 'USER[:GROUP]', help: 'User of the process, by name or number.', apply: word('user', 'user') },
  { name: 'workdir', short: 'w', value: 'DIR', help: 'Where the process starts.', apply: word('workdir', 'workdir') },
  {
    name: 'user-data', value: 'FILE', help: 'cloud-config for the first boot of a system: users, keys, files, commands.',
    async apply(spec, words, context) { Object.assign(spec, await userData(await readTextFile(words.text('user-data')!, context.stdio))); },
  },
  { name: 'hostname', value: 'NAME', help: 'Host name; the instance’s name when missing.', apply: word('hostname', 'hostname') },
  {
    name: 'entrypoint', value: 'COMMAND', help: 'Replaces the image’s entrypoint; empty takes it away.',
    apply(spec, words) { spec.entrypoint = words.text('entrypoint') === '' ? [] : [words.text('entrypoint')!]; },
  },
  { name: 'memory', short: 'm', value: 'BYTES', help: 'Memory that it may use (512m, 2g).', apply: bytes('memory', 'memoryBytes') },
  { name: 'cpus', value: 'N', help: 'CPUs’ worth of time; 0.5 is half of one.', apply(spec, words) { spec.cpus = values.numberValue('cpus', words.text('cpus')!); } },
  { name: 'cpu-weight', value: 'N', help: 'Share of CPU time when others want it too; 100 is normal.', apply(spec, words) { spec.cpuWeight = values.integerValue('cpu-weight', words.text('cpu-weight')!); } },
  { name: 'pids-limit', value: 'N', help: 'Most processes and threads.', apply(spec, words) { spec.pids = values.integerValue('pids-limit', words.text('pids-limit')!); } },
  { name: 'disk', value: 'BYTES', help: 'Size of the writable part of the root.', apply: bytes('disk', 'rootDiskBytes') },
  { name: 'shm-size', value: 'BYTES', help: 'Size of /dev/shm.', apply: bytes('shm-size', 'shmBytes') },
  { name: 'tmpfs', value: 'DIR[:size=BYTES]', repeat: true, help: 'A memory-backed directory.', apply(spec, words) { spec.tmpfs = words.all('tmpfs').map(values.tmpfsValue); } },
  { name: 'ulimit', value: 'NAME=SOFT[:HARD]', repeat: true, help: 'A resource limit of the process.', apply(spec, words) { spec.ulimits = Object.fromEntries(words.all('ulimit').map(values.ulimitValue)); } },
  { name: 'firmware', value: 'bios|uefi', help: 'What starts the system of a disk image; bios when missing.', apply(spec, words) { spec.firmware = values.choice('firmware', words.text('firmware')!, ['bios', 'uefi']); } },
  { name: 'machine-preset', value: 'virtio|ahci-e1000', help: 'Devices that the system of a disk image finds; ahci-e1000 where it has no virtio drivers.', apply(spec, words) { spec.machinePreset = values.choice('machine-preset', words.text('machine-preset')!, ['virtio', 'ahci-e1000']); } },
  { name: 'root', value: 'layers|flat', help: 'Of a VM: flat gives it one file system of its own instead of the image’s layers and an upper one.', apply(spec, words) { spec.root = values.choice('root', words.text('root')!, ['layers', 'flat']); } },
  { name: 'kernel', value: 'IMAGE', help: 'A kernel of your own for a microVM or VM: an image that holds one.', apply(spec, words) { spec.kernel = words.text('kernel')!; } },
  { name: 'iso', value: 'IMAGE', repeat: true, help: 'A CD in its drive: an image that was imported with --disk iso.', apply(spec, words) { spec.iso = [...words.all('iso')]; } },
  { name: 'init', help: 'A small init reaps orphans.', apply: on('init', 'init') },
  { name: 'read-only', help: 'Nothing may be written to the root file system.', apply: on('read-only', 'readOnlyRoot') },
  { name: 'restart', value: 'no|on-failure[:N]|always|unless-stopped', help: 'What happens when it ends by itself.', apply(spec, words) { spec.restart = values.restartValue(words.text('restart')!); } },
  { name: 'stop-signal', value: 'SIGNAL', help: 'Signal that asks it to end.', apply(spec, words) { spec.stopSignal = values.signalValue('stop-signal', words.text('stop-signal')!); } },
  { name: 'stop-timeout', value: 'SECONDS', help: 'How long it may take to end before it is killed.', apply(spec, words) { spec.stopGraceMs = values.durationValue('stop-timeout', words.text('stop-timeout')!); } },
];

/** Flags that are more than one field, or that have a shorter way to say one. */
export const SPEC_FLAGS: readonly Flag[] = [
  ...FIELD_FLAGS,
  { name: 'vm', help: 'Short for --isolation vm.' },
  { name: 'env-file', value: 'FILE', repeat: true, help: 'Environment from a file of NAME=VALUE lines.' },
  { name: 'cap-add', value: 'NAME', repeat: true, help: 'Add a Linux capability.' },
  { name: 'cap-drop', value: 'NAME', repeat: true, help: 'Take a Linux capability away.' },
];

export const META_FLAGS: readonly Flag[] = [
  { name: 'name', value: 'NAME', help: 'Name of the instance; one is made up when missing.' },
  { name: 'label', short: 'l', value: 'KEY[=VALUE]', repeat: true, help: 'A label, for selecting and grouping.' },
  { name: 'owner', value: 'TEXT', help: 'Who answers for it.' },
  { name: 'purpose', value: 'TEXT', help: 'What it is for.' },
];

export async function specOf(words: Words, context: Context): Promise<Draft> {
  const spec: Draft = {};
  for (const file of words.all('env-file')) {
    spec.env = { ...spec.env, ...values.environmentPairs('env-file', values.environmentLines(await readTextFile(file, context.stdio)), context.env) };
  }
  if (words.on('vm')) spec.isolation = 'vm';
  for (const flag of FIELD_FLAGS) if (words.given(flag.name)) await flag.apply(spec, words, context);
  if (words.given('cap-add') || words.given('cap-drop')) {
    spec.capabilities = {
      add: words.all('cap-add').map((one) => values.capabilityValue('cap-add', one)),
      drop: words.all('cap-drop').map((one) => values.capabilityValue('cap-drop', one)),
    };
  }
  return spec;
}

export function metaOf(words: Words): MetaInput {
  const name = words.text('name');
  const owner = words.text('owner');
  const purpose = words.text('purpose');
  return {
    ...(name === undefined ? {} : { name }),
    ...(owner === undefined ? {} : { owner }),
    ...(purpose === undefined ? {} : { purpose }),
    ...(words.given('label') ? { labels: values.labelPairs(words.all('label')) } : {}),
  };
}

/** `--network none` is an empty list; `NAME,ip=ADDRESS` asks for an address. */
function networkList(texts: readonly string[]): NonNullable<InstanceSpec['networks']> {
  if (texts.includes('none')) {
    if (texts.length > 1) throw new BerthError('invalid', '--network none goes with no other network.');
    return [];
  }
  return texts.map((text) => {
    const [name = '', ...options] = text.split(',');
    const network: { name: string; ipv4?: string; ipv6?: string } = { name };
    for (const option of options) {
      const address = /^ip=(.+)$/.exec(option)?.[1];
      if (address === undefined) values.refuse('network', text, `the option '${option}' is not known`, 'NAME[,ip=ADDRESS]');
      network[address.includes(':') ? 'ipv6' : 'ipv4'] = address;
    }
    return network;
  });
}
