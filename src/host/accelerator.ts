/**
 * Does KVM really run guests here? /dev/kvm that opens says nothing: a small program is booted that does what every kernel
 * does first (native/probe/probe.S), and only its regular end counts. The answer holds for one boot of the host, one host
 * kernel and one QEMU, and is cached under these.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import { readBounded, writeFileAtomic } from './files.ts';
import { PLAIN_ENV } from './run.ts';

export interface AcceleratorProbe {
  readonly accelerator: 'kvm' | 'tcg';
  /** Letters of the stages that KVM passed; empty where it did not begin. */
  readonly stage: string;
  /** A sentence. */
  readonly reason: string;
}

export interface AcceleratorProbeOptions {
  readonly qemu: string;
  readonly probe: string;
  /** Where the answer is kept; not cached when missing. */
  readonly cacheFile?: string | undefined;
  readonly kvmDevice?: string | undefined;
}

export interface ProbeRun {
  /** undefined: it had to be ended. */
  readonly exitCode: number | undefined;
  readonly stage: string;
  readonly complaints: string;
}

const TIMEOUT_MS = 1_500;
/** isa-debug-exit: (0x2a << 1) | 1 */
const GOOD_EXIT = 85;
const ALL_STAGES = 'ABCDEFGHIK';
const STAGE_NAMES: Readonly<Record<string, string>> = {
  '': 'before its first instruction', A: 'at its first instruction', B: 'when paging was on', C: 'in long mode', D: 'at its first exception', E: 'after a breakpoint',
  F: 'after an invalid instruction', G: 'after a page fault', H: 'after a timer interrupt', I: 'after a system call',
};

export async function probeAccelerator(options: AcceleratorProbeOptions): Promise<AcceleratorProbe> {
  const device = options.kvmDevice ?? '/dev/kvm';
  if (!fs.existsSync(device)) return { accelerator: 'tcg', stage: '', reason: `There is no ${device}: the processor or the firmware withholds virtualisation.` };
  const key = await cacheKey(options);
  const cached = await readCache(options.cacheFile, key);
  if (cached !== undefined) return cached;
  const found = judgeProbe(await runProbe(options));
  if (options.cacheFile !== undefined) await writeFileAtomic(options.cacheFile, JSON.stringify({ key, ...found }), 0o644).catch(() => undefined);
  return found;
}

export function judgeProbe(run: ProbeRun): AcceleratorProbe {
  const { stage } = run;
  if (/KVM internal error|failed to set MSR/.test(run.complaints)) return { accelerator: 'tcg', stage, reason: `KVM is there and fails: a guest got stuck ${placeOf(stage)}.` };
  if (run.exitCode === GOOD_EXIT && stage === ALL_STAGES) return { accelerator: 'kvm', stage, reason: 'KVM runs guests.' };
  if (run.exitCode === undefined) return { accelerator: 'tcg', stage, reason: `KVM is there and hangs: a guest stood still ${placeOf(stage)}.` };
  return { accelerator: 'tcg', stage, reason: `KVM is there and does not run guests: QEMU ended with ${run.exitCode} ${placeOf(stage)}.` };
}

function placeOf(stage: string): string {
  return STAGE_NAMES[stage.slice(-1)] ?? 'at an unknown place';
}

function runProbe({ qemu, probe }: AcceleratorProbeOptions): Promise<ProbeRun> {
  return new Promise((resolve) => {
    const child = spawn(qemu, [
      '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-M', 'microvm', '-accel', 'kvm', '-cpu', 'host', '-m', '32', '-kernel', probe,
      '-device', 'isa-debug-exit,iobase=0xf4,iosize=1', '-chardev', 'stdio,id=d,signal=off', '-device', 'isa-debugcon,iobase=0x402,chardev=d',
    ], { cwd: '/', env: PLAIN_ENV, stdio: ['ignore', 'pipe', 'pipe'] });
    let stage = '', complaints = '', timedOut = false;
    const end = (): void => {
      timedOut = true;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(end, TIMEOUT_MS);
    child.stdout.setEncoding('latin1').on('data', (text: string) => { stage = (stage + text).replace(/[^A-K]/g, '').slice(0, 16); });
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      complaints = (complaints + text).slice(0, 16_384);
      // It stays alive, stopped: nothing more will come.
      if (complaints.includes('KVM internal error')) end();
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ exitCode: 127, stage, complaints: error.message });
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ exitCode: timedOut ? undefined : (code ?? 128 + (os.constants.signals[signal!] ?? 0)), stage, complaints });
    });
  });
}

async function cacheKey({ qemu, probe }: AcceleratorProbeOptions): Promise<string> {
  const boot = await fs.promises.readFile('/proc/sys/kernel/random/boot_id', 'latin1');
  // Size and time of the program stand for its version: asking it costs more than the probe.
  const { size, mtimeMs } = await fs.promises.stat(qemu);
  return createHash('sha256').update([boot.trim(), os.release(), qemu, size, mtimeMs].join('\0')).update(await readBounded(probe, 1024 * 1024)).digest('hex');
}

async function readCache(file: string | undefined, key: string): Promise<AcceleratorProbe | undefined> {
  if (file === undefined) return undefined;
  try {
    const value = JSON.parse((await readBounded(file, 64 * 1024)).toString('utf8')) as AcceleratorProbe & { key: string };
    if (value.key !== key) return undefined;
    return { accelerator: value.accelerator === 'kvm' ? 'kvm' : 'tcg', stage: value.stage, reason: value.reason };
  } catch {
    return undefined;
  }
}
