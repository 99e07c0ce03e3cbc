/** Installs Debian packages: never upgrades or removes one, waits for other package tools, starts no service. */
import fs from 'node:fs';
import { run } from '../host/run.ts';
import { runInForeground } from '../host/foreground.ts';
import { BerthError } from '../model/errors.ts';
import type { DebianPackage } from './packages.ts';
import type { Progress } from './progress.ts';

const APT_ENV = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
const LOCK_WAIT_S = 600;
const UPDATE_TRIES = 6;
const UPDATE_RETRY_MS = 5000;
const INSTALL_TIMEOUT_MS = 1_800_000;

/** Those of the list that dpkg does not have fully installed. */
export async function missingPackages(wanted: readonly DebianPackage[]): Promise<readonly DebianPackage[]> {
  const answer = await run('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Abbrev}\n', '--', ...wanted.map((one) => one.name)], { allowFailure: true });
  const installed = new Set(
    answer.stdout.split('\n').flatMap((line) => {
      const [name, status] = line.split(' ');
      return name !== undefined && status?.startsWith('ii') === true ? [name] : [];
    }),
  );
  return wanted.filter((one) => !installed.has(one.name));
}

export async function installPackages(names: readonly string[], progress: Progress): Promise<void> {
  if (names.length === 0) return;
  if (process.getuid?.() !== 0) {
    throw new BerthError('forbidden', 'Only root may install Debian packages.', { hint: `sudo apt-get install --no-install-recommends ${names.join(' ')}` });
  }
  await finishInterrupted(progress);
  await updateLists(progress);
  const undo = forbidServiceStarts();
  const tail: string[] = [];
  try {
    const code = await runInForeground('apt-get', [
      '-q', '-o', 'Dpkg::Use-Pty=0', '-o', `DPkg::Lock::Timeout=${LOCK_WAIT_S}`,
      'install', '-y', '--no-install-recommends', '--no-upgrade', '--no-remove', '--', ...names,
    ], { env: aptEnvironment(), timeoutMs: INSTALL_TIMEOUT_MS, onLine: (line) => noteAptLine(line, tail, progress) });
    if (code !== 0) throw new BerthError('unavailable', `apt-get could not install ${names.join(', ')}:\n${tail.slice(-15).join('\n')}`, { hint: 'Mend what apt-get says, then run the same command again.' });
  } finally {
    undo();
  }
}

/** Whoever interrupted dpkg before (with Ctrl-C, say) left packages half set up, and apt-get refuses to go on from there. */
async function finishInterrupted(progress: Progress): Promise<void> {
  if (fs.readdirSync('/var/lib/dpkg/updates').length === 0) return;
  progress.note('finishing an interrupted installation of packages');
  await run('dpkg', ['--configure', '-a', '--force-confold'], { allowFailure: true, timeoutMs: INSTALL_TIMEOUT_MS, env: aptEnvironment(), maxOutputBytes: 16 * 1024 * 1024 });
}

/** apt knows nothing on a machine that never asked its mirror. */
export async function ensureLists(progress: Progress): Promise<void> {
  const there = await fs.promises.readdir('/var/lib/apt/lists').catch(() => []);
  if (!there.some((name) => name.includes('_Packages'))) await updateLists(progress);
}

async function updateLists(progress: Progress): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const answer = await run('apt-get', ['-q', '-o', 'Acquire::Retries=3', 'update'], { allowFailure: true, timeoutMs: 300_000, env: aptEnvironment() });
    if (answer.code === 0) return;
    if (attempt === UPDATE_TRIES) throw new BerthError('unavailable', `apt-get update failed: ${answer.stderr.trim().slice(-800)}`, { hint: 'Is the mirror in /etc/apt reachable?' });
    progress.note(`apt-get update failed (${answer.stderr.trim().split('\n').at(-1) ?? ''}); trying again`);
    await new Promise((resolve) => setTimeout(resolve, UPDATE_RETRY_MS)); // the lists' lock has no waiting of its own
  }
}

function aptEnvironment(): Record<string, string> {
  const kept = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];
  return { ...APT_ENV, ...Object.fromEntries(kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))) };
}

/** apt prints hundreds of lines: the packages that are being set up are what shows progress. */
function noteAptLine(line: string, tail: string[], progress: Progress): void {
  tail.push(line);
  if (tail.length > 50) tail.shift();
  if (/^(Need to get|Fetched|Setting up) /.test(line)) progress.note(line.replace(/ \.\.\.$/, ''));
}

const POLICY_FILE = '/usr/sbin/policy-rc.d';
const POLICY_TEXT = '#!/bin/sh\n# Written by berth for the time of one apt-get run: its packages must start no service.\nexit 101\n';

/**
 * Some packages start a server when they are installed; Debian's way to forbid it is policy-rc.d. One that is there
 * already is left alone, and one that we left behind when we were killed is ours to take away.
 */
export function forbidServiceStarts(file = POLICY_FILE): () => void {
  const remove = (): void => {
    try {
      if (fs.readFileSync(file, 'utf8') === POLICY_TEXT) fs.unlinkSync(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  };
  try {
    fs.writeFileSync(file, POLICY_TEXT, { flag: 'wx', mode: 0o755 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return remove;
}
