/**
 * All forms in one run, each beside its floor: start, exec, stop; the agent's round trips; memory and disk of one more;
 * many at once; and the same root as an OS container by those of our peers that are installed (peers/).
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { median } from '../../../src/lib/statistics.ts';
import { FORM_LABEL, type Form } from '../../../src/model/forms.ts';
import { berth } from '../../lib/cli.ts';
import { openCrunBench } from '../../lib/crun-bench.ts';
import { TestDaemon } from '../../lib/daemon.ts';
import { systemArchive } from '../../lib/debian-images.ts';
import { openQemuBench } from '../../lib/qemu-bench.ts';
import { until } from '../../lib/until.ts';
import { timed, type Figures, type Floor } from '../figures.ts';
import { openCrunFloor } from '../floors/crun-floor.ts';
import { compileInsidePrograms } from '../floors/inside-guest.ts';
import { preparePeer, type PeerTimes, type PreparedPeer } from '../peers/boot-peer.ts';
import { SYSTEM_PEERS } from '../peers/system-peers.ts';
import { agentTrips } from './agent-trips.ts';
import { appFloor, machineFloor, type FormTimes } from './form-floors.ts';
import { manyAtOnce, type ManyFigures } from './many-at-once.ts';
import { IMAGE, MIB, RunningForms } from './running-forms.ts';

export interface FormCounts {
  readonly rounds: number;
  /** OS containers at once. */
  readonly systems: number;
  /** VMs at once. */
  readonly machines: number;
  /** Slopes of memory and disk over 1 to this many. */
  readonly slope: number;
}

const EXECS = 10;

const SYSTEM = 'systemd';

/** App containers, OS containers and the peers that boot the same root. */
export async function measureContainers(figures: Figures, daemon: TestDaemon, { rounds, systems, slope }: FormCounts): Promise<void> {
  const forms = new RunningForms(daemon), archive = await importSystem(daemon);
  await using bench = await openCrunBench();
  using crun = openCrunFloor(bench);
  const floor: FormTimes[] = [];
  const ours = await cycles(forms, 'appContainer', rounds, async () => { floor.push(await appFloor(crun)); });
  const exec = { name: 'crun exec', value: middle(floor, 'execMs') };
  tellForm(figures, 'appContainer', ours, { start: { name: 'crun and conmon, no network', value: middle(floor, 'startMs') }, exec, stop: { name: 'crun kill, conmon', value: middle(floor, 'stopMs') } });
  await systemsBesidePeers(figures, forms, archive, { rounds, slope, exec });
  tellSizes(figures, 'appContainer', await manyAtOnce(forms, { form: 'appContainer', count: slope, parallel: 2, slope }));
  tellMany(figures, 'osContainer', '4 requests at a time', await manyAtOnce(forms, { form: 'osContainer', count: systems, parallel: 4, slope: Math.min(slope, systems) }));
}

/** microVMs and VMs beside bare QEMUs, and the agent beside what it runs on. */
export async function measureMachines(figures: Figures, daemon: TestDaemon, { rounds, machines, slope }: FormCounts): Promise<void> {
  const forms = new RunningForms(daemon);
  await importSystem(daemon);
  await using bench = await openQemuBench();
  const trips = await agentTrips(bench);
  figures.tell('agent: ping', trips.pingMs, 'ms', { name: 'echo on the same device', value: trips.echoMs });
  figures.tell('agent: exec true', trips.execMs, 'ms', { name: 'fork + exec + wait inside', value: trips.insideMs });
  const { spawnTimer } = compileInsidePrograms(bench.rootDir);
  for (const form of ['microVM', 'vm'] as const) {
    const floor: FormTimes[] = [], inside: number[] = [];
    const ours = await cycles(forms, form, Math.min(form === 'vm' ? 2 : 5, rounds), async () => { floor.push(await machineFloor(bench, form, imageFile(daemon, form))); }, async (name) => {
      const copied = await berth(daemon, ['cp', spawnTimer, `${name}:/spawn-timer`], { timeoutMs: 120_000 });
      if (copied.code !== 0) throw new Error(copied.stderr);
      inside.push(Number(await forms.output(name, '/spawn-timer', String(EXECS), '/bin/true')) / 1000);
    });
    tellForm(figures, form, ours, { start: { name: 'bare QEMU, no network', value: middle(floor, 'startMs') }, exec: { name: 'fork + exec + wait inside', value: median(inside) }, stop: { name: 'bare QEMU', value: middle(floor, 'stopMs') } });
  }
  await warmStarts(figures, rounds, slope).catch((error: Error) => { figures.without('microVM, warm', error.message); });
  tellSizes(figures, 'microVM', await manyAtOnce(forms, { form: 'microVM', count: slope, parallel: 2, slope }));
  tellMany(figures, 'vm', 'of 256 MiB', await manyAtOnce(forms, { form: 'vm', count: machines, parallel: machines, more: { memoryBytes: 256 * MIB }, slope: Math.min(slope, machines) }));
}

/** By a daemon of its own: the other's machines boot, so that their floor is a boot. */
async function warmStarts(figures: Figures, rounds: number, slope: number): Promise<void> {
  await using daemon = await TestDaemon.start({ vms: true, env: { BERTH_WARM_START: 'project' } });
  await daemon.bootstrapBusybox();
  const forms = new RunningForms(daemon);
  const once = async (name: string): Promise<{ readonly ms: number; readonly warm: boolean }> => {
    const ms = await forms.start('microVM', name);
    const { start } = (await daemon.instance(name)).status;
    await forms.remove(name);
    return { ms, warm: start === 'warm' };
  };
  let tries = 0;
  await until(async () => (await once(`template${tries++}`)).warm, { deadlineMs: 180_000, intervalMs: 500, what: 'a warm start' });
  const all: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { ms, warm } = await once(`warm${round}`);
    if (warm) all.push(ms);
  }
  figures.tell(`microVM, warm (${all.length} of ${rounds}): request until it answers`, median(all), 'ms');
  const { memoryEachBytes } = await manyAtOnce(forms, { form: 'microVM', count: slope, parallel: 2, slope });
  figures.tell('microVM, warm: memory of one more, idle (PSS)', memoryEachBytes / MIB, 'MiB');
}

async function importSystem(daemon: TestDaemon): Promise<string> {
  const archive = await systemArchive(SYSTEM);
  const imported = await berth(daemon, ['image', 'import', archive, '--as', IMAGE.vm], { timeoutMs: 600_000 });
  if (imported.code !== 0) throw new Error(imported.stderr);
  return archive;
}

/** Starts, asks and stops one after the other, each beside its floor; the first round fills caches. */
async function cycles(forms: RunningForms, form: Form, rounds: number, floor: () => Promise<void>, whileUp: (name: string) => Promise<void> = async () => undefined): Promise<readonly FormTimes[]> {
  const all: FormTimes[] = [];
  for (let round = 0; round <= rounds; round++) {
    const name = `one-${form.toLowerCase()}-${round}`;
    const startMs = await forms.start(form, name);
    const execs: number[] = [];
    for (let at = 0; at < EXECS; at++) execs.push(await timed(() => forms.output(name, 'true')));
    if (round > 0) await whileUp(name);
    const stopMs = await forms.stop(name);
    await forms.remove(name);
    if (round === 0) continue;
    all.push({ startMs, execMs: median(execs), stopMs });
    await floor();
  }
  return all;
}

const middle = (all: readonly FormTimes[], key: keyof FormTimes): number => median(all.map((one) => one[key]));

function tellForm(figures: Figures, form: Form, ours: readonly FormTimes[], floor: Readonly<Record<'start' | 'exec' | 'stop', Floor | undefined>>): void {
  const label = FORM_LABEL[form], isSystem = form === 'osContainer' || form === 'vm';
  figures.tell(`${label}: request until ${isSystem ? 'its system is up' : 'it answers'}`, middle(ours, 'startMs'), 'ms', floor.start);
  figures.tell(`${label}: exec true, API`, middle(ours, 'execMs'), 'ms', floor.exec);
  figures.tell(`${label}: stop`, middle(ours, 'stopMs'), 'ms', floor.stop);
}

function tellSizes(figures: Figures, form: Form, { memoryEachBytes, diskEachBytes }: ManyFigures): void {
  figures.tell(`${FORM_LABEL[form]}: memory of one more, idle (PSS)`, memoryEachBytes / MIB, 'MiB');
  figures.tell(`${FORM_LABEL[form]}: disk of one more`, diskEachBytes / MIB, 'MiB');
}

function tellMany(figures: Figures, form: Form, how: string, many: ManyFigures): void {
  figures.tell(`${many.count} ${FORM_LABEL[form]}s at once, ${how}: all up`, many.allUpMs / 1000, 's');
  figures.tell('their memory together (PSS)', many.memoryBytes / MIB, 'MiB');
  tellSizes(figures, form, many);
}

/** In turns, so that all meet the same machine. */
async function systemsBesidePeers(figures: Figures, forms: RunningForms, archive: string, { rounds, slope, exec }: { readonly rounds: number; readonly slope: number; readonly exec: Floor | undefined }): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const peers: { readonly peer: PreparedPeer; readonly times: PeerTimes[] }[] = [];
  for (const one of SYSTEM_PEERS) {
    try {
      peers.push({ peer: stack.use(await preparePeer(one, archive)), times: [] });
    } catch (error) {
      figures.without(one.name, `not measured: ${(error as Error).message}`);
    }
  }
  for (const { peer } of peers) await peer.cycle(); // fills caches
  const ours = await cycles(forms, 'osContainer', rounds, async () => {
    for (const { peer, times } of peers) times.push(await peer.cycle());
  });
  const nspawn = peers.find(({ peer }) => peer.name === 'systemd-nspawn')?.times;
  const floor = (key: 'startMs' | 'stopMs') => (nspawn === undefined ? undefined : { name: 'systemd-nspawn, the same root, no network', value: median(nspawn.map((one) => one[key])) });
  tellForm(figures, 'osContainer', ours, { start: floor('startMs'), exec, stop: floor('stopMs') });
  for (const { peer, times } of peers) {
    const execs = times.flatMap(({ execMs }) => execMs ?? []);
    figures.tell(`${peer.name} (${peer.version}${peer.hasNetwork ? '' : ', no network'}): until its system is up`, median(times.map((one) => one.startMs)), 'ms');
    if (execs.length > 0) figures.tell(`${peer.name}: exec true`, median(execs), 'ms');
    figures.tell(`${peer.name}: stop`, median(times.map((one) => one.stopMs)), 'ms');
    figures.tell(`${peer.name}: memory of one more, idle (PSS)`, (await peer.memorySlope(slope)) / MIB, 'MiB');
  }
  figures.without('VMs of Incus', 'it starts them on working KVM only');
}

/** The disk that all machines of the image share, as the daemon made it. */
function imageFile(daemon: TestDaemon, form: 'microVM' | 'vm'): string {
  const found = execFileSync('find', [path.join(daemon.rootDir, 'images'), '-type', 'f', '-size', '+64k'], { encoding: 'utf8' }).trim().split('\n').filter(isErofs);
  const bySize = found.toSorted((a, b) => fs.statSync(a).size - fs.statSync(b).size);
  const file = form === 'microVM' ? bySize[0] : bySize.at(-1);
  if (file === undefined) throw new Error('no image file');
  return file;
}

function isErofs(file: string): boolean {
  const fd = fs.openSync(file, 'r');
  try {
    const magic = Buffer.alloc(4);
    fs.readSync(fd, magic, 0, 4, 1024);
    return magic.readUInt32LE() === 0xe0f5e1e2;
  } finally {
    fs.closeSync(fd);
  }
}
