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
import type { TestDaemon } from '../../lib/daemon.ts';
import { systemArchive } from '../../lib/debian-images.ts';
import { openQemuBench } from '../../lib/qemu-bench.ts';
import { timed, type Figures, type Floor } from '../figures.ts';
import { openCrunFloor } from '../floors/crun-floor.ts';
import { compileInsidePrograms } from '../floors/inside-guest.ts';
import { measurePeer, type PeerFigures } from '../peers/boot-peer.ts';
import { SYSTEM_PEERS } from '../peers/system-peers.ts';
import { agentTrips } from './agent-trips.ts';
import { appFloor, machineFloor, type FormTimes } from './form-floors.ts';
import { manyAtOnce } from './many-at-once.ts';
import { MIB, RunningForms } from './running-forms.ts';

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

export async function measureForms(figures: Figures, daemon: TestDaemon, { rounds, systems, machines, slope }: FormCounts): Promise<void> {
  const forms = new RunningForms(daemon);
  const archive = await systemArchive('systemd');
  const imported = await berth(daemon, ['image', 'import', archive, '--as', 'system'], { timeoutMs: 600_000 });
  if (imported.code !== 0) throw new Error(imported.stderr);

  const peers = await peerFigures(figures, archive, { rounds: Math.min(5, rounds), slope });
  const nspawn = peers.get('systemd-nspawn');
  {
    await using bench = await openCrunBench();
    using crun = openCrunFloor(bench);
    const floor: FormTimes[] = [];
    const ours = await cycles(forms, 'appContainer', rounds, async () => { floor.push(await appFloor(crun)); });
    const exec = middle(floor, 'execMs');
    tellForm(figures, 'appContainer', ours, { start: named('crun and conmon', middle(floor, 'startMs')), exec: named('crun exec', exec), stop: named('crun kill, conmon', middle(floor, 'stopMs')) });
    const system = await cycles(forms, 'osContainer', rounds, async () => undefined);
    tellForm(figures, 'osContainer', system, { start: named('systemd-nspawn, the same root', nspawn?.startMs), exec: named('crun exec', exec), stop: named('systemd-nspawn', nspawn?.stopMs) });
  }
  {
    await using bench = await openQemuBench();
    const trips = await agentTrips(bench);
    figures.tell('agent: ping', trips.pingMs, 'ms', { name: 'echo on the same device', value: trips.echoMs });
    figures.tell('agent: exec true', trips.execMs, 'ms', { name: 'fork + exec + wait inside', value: trips.insideMs });
    const { spawnTimer } = compileInsidePrograms(bench.rootDir);
    for (const form of ['microVM', 'vm'] as const) {
      const machineRounds = Math.min(form === 'vm' ? 3 : 5, rounds);
      const floor: FormTimes[] = [], inside: number[] = [];
      const ours = await cycles(forms, form, machineRounds, async () => { floor.push(await machineFloor(bench, form, imageFile(daemon, form))); }, async (name) => {
        const copied = await berth(daemon, ['cp', spawnTimer, `${name}:/spawn-timer`], { timeoutMs: 120_000 });
        if (copied.code !== 0) throw new Error(copied.stderr);
        inside.push(Number(await forms.output(name, '/spawn-timer', String(EXECS), '/bin/true')) / 1000);
      });
      tellForm(figures, form, ours, { start: named('bare QEMU', middle(floor, 'startMs')), exec: named('fork + exec + wait inside', median(inside)), stop: named('bare QEMU', middle(floor, 'stopMs')) });
    }
  }
  for (const form of ['appContainer', 'microVM'] as const) {
    const many = await manyAtOnce(forms, { form, count: slope, parallel: 2, slope });
    tellSizes(figures, form, many);
  }
  for (const [form, count, more] of [['osContainer', systems, {}], ['vm', machines, { memoryBytes: 256 * MIB }]] as const) {
    const many = await manyAtOnce(forms, { form, count, parallel: form === 'vm' ? count : 4, more, slope: Math.min(slope, count) });
    figures.tell(`${count} ${FORM_LABEL[form]}s at once${form === 'vm' ? ' of 256 MiB' : ', 4 requests at a time'}: all up`, many.allUpMs / 1000, 's');
    figures.tell('their memory together (PSS)', many.memoryBytes / MIB, 'MiB');
    tellSizes(figures, form, many);
  }
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
const named = (name: string, value: number | undefined): Floor | undefined => (value === undefined ? undefined : { name, value });

function tellForm(figures: Figures, form: Form, ours: readonly FormTimes[], floor: Readonly<Record<'start' | 'exec' | 'stop', Floor | undefined>>): void {
  const label = FORM_LABEL[form], isSystem = form === 'osContainer' || form === 'vm';
  figures.tell(`${label}: request until ${isSystem ? 'its system is up' : 'it answers'}`, middle(ours, 'startMs'), 'ms', floor.start);
  figures.tell(`${label}: exec true, API`, middle(ours, 'execMs'), 'ms', floor.exec);
  figures.tell(`${label}: stop`, middle(ours, 'stopMs'), 'ms', floor.stop);
}

function tellSizes(figures: Figures, form: Form, { memoryEachBytes, diskEachBytes }: { readonly memoryEachBytes: number; readonly diskEachBytes: number }): void {
  figures.tell(`${FORM_LABEL[form]}: memory of one more, idle (PSS)`, memoryEachBytes / MIB, 'MiB');
  figures.tell(`${FORM_LABEL[form]}: disk of one more`, diskEachBytes / MIB, 'MiB');
}

async function peerFigures(figures: Figures, archive: string, counts: { readonly rounds: number; readonly slope: number }): Promise<ReadonlyMap<string, PeerFigures>> {
  const all = new Map<string, PeerFigures>();
  for (const peer of SYSTEM_PEERS) {
    const one = await measurePeer(peer, archive, counts).catch((error: Error) => error.message);
    if (typeof one === 'string') figures.without(peer.name, one);
    else if (one === undefined) figures.without(peer.name, 'not installed');
    else {
      tellPeer(figures, peer.name, one);
      all.set(peer.name, one);
    }
  }
  figures.without('Incus VM', 'Incus starts VMs on working KVM only');
  return all;
}

function tellPeer(figures: Figures, name: string, { version, startMs, execMs, stopMs, memoryBytes }: PeerFigures): void {
  figures.tell(`${name} (${version}): until its system is up`, startMs, 'ms');
  if (execMs !== undefined) figures.tell(`${name}: exec true`, execMs, 'ms');
  figures.tell(`${name}: stop`, stopMs, 'ms');
  figures.tell(`${name}: memory of one more, idle (PSS)`, memoryBytes / MIB, 'MiB');
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
