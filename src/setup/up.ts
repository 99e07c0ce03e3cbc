/**
 * `berth up`: from a bare Debian to a running estate. Every step looks first whether it is done, so that the same
 * command goes on where an earlier one was interrupted, and does nothing when all is there.
 */
import fs from 'node:fs';
import path from 'node:path';
import { prepareGuestKernel } from '../host/guest-kernel.ts';
import { BerthError } from '../model/errors.ts';
import { ensureLists, installPackages, missingPackages } from './apt.ts';
import { bundle } from './bundle.ts';
import { berthCommand, type BerthCommand } from './command.ts';
import { DEFAULT_PLACE, type Place } from './daemon-process.ts';
import { estateFile, estateTable, localImages, notYetAnswering, parseInstances, suiteOf, type ListedInstance, type LocalImage } from './estate.ts';
import { ensureGroup } from './group.ts';
import { GROUP, PINNED_BUN } from './home.ts';
import { INSTALL_PLACE, installCopy, removeOtherCopies, useCopy } from './install-copy.ts';
import { buildNative } from './native-build.ts';
import { packagesFor, type DebianPackage } from './packages.ts';
import type { Progress } from './progress.ts';
import { askYes } from './question.ts';
import { daemonAnswers, runningCopy, waitUntilReady } from './readiness.ts';
import { startService, stopDaemons } from './service.ts';

export interface UpOptions {
  readonly home: string;
  readonly yes: boolean;
  /** Images and the example estate too. */
  readonly estate: boolean;
}

const ESTATE_DEADLINE_MS = 300_000;
const POLL_MS = 500;
const IMAGES_AT_ONCE = 2;
/** What a person may want to see next. */
const WITH_ESTATE = ['berth run --rm busybox echo hello', 'berth logs web', 'berth exec -it db psql -U postgres shop'];
const WITHOUT_ESTATE = ['berth image bootstrap busybox', 'berth run --rm busybox echo hello', 'berth doctor'];

export async function up({ home, yes, estate }: UpOptions, progress: Progress, print: (text: string) => void): Promise<void> {
  if (process.getuid?.() !== 0) throw new BerthError('forbidden', 'up installs packages and starts a service: it needs root.', { hint: 'sudo ./berth up' });
  const place = DEFAULT_PLACE;
  const startedAt = performance.now();
  const vmMs = await installDebianPackages(yes, progress);
  if (!fs.existsSync(path.join(home, '.installed'))) {
    await progress.step('Compiling the native programs', () => buildNative(home));
    await progress.step('Bundling the command and the daemon', async () => {
      // Without Bun the command runs from its sources on Node.
      for (const room of ['daemon', 'cli'] as const) await bundle(room, { home, bun: PINNED_BUN }).catch((error: unknown) => progress.note(error instanceof Error ? error.message : String(error)));
    });
  }
  const copy = await progress.step(`Installing below ${INSTALL_PLACE.installRoot}`, async () => {
    const { dir } = await installCopy(home, INSTALL_PLACE);
    await useCopy(dir, INSTALL_PLACE);
    return dir;
  });
  if (await ensureGroup()) progress.note(`made the group ${GROUP}: its members may use the socket, which is as good as root`);
  await ensureDaemon(copy, place, progress);
  await removeOtherCopies(copy, INSTALL_PLACE);
  const command = berthCommand(copy, place);
  if (estate) await bringEstate(copy, place, command, progress, print);
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(0)} s`;
  print(`\nReady in ${seconds(performance.now() - startedAt - vmMs)}${vmMs > 1000 ? `, and ${seconds(vmMs)} for QEMU's packages` : ''}. Try next:\n`);
  for (const line of estate ? WITH_ESTATE : WITHOUT_ESTATE) print(`  ${line}\n`);
}

/** @returns the milliseconds that the packages for virtual machines took. */
async function installDebianPackages(yes: boolean, progress: Progress): Promise<number> {
  const base = await missingPackages(packagesFor(['run', 'build']));
  const vm = await missingPackages(packagesFor(['vm']));
  const missing = [...base, ...vm];
  if (missing.length === 0) return 0;
  progress.note('These Debian packages are missing:');
  for (const one of missing) progress.note(`  ${one.name.padEnd(18)} ${one.why}`);
  if (!yes && !(await askYes('Install them now?'))) throw new BerthError('invalid', 'Nothing was installed.', { hint: 'berth up --yes does not ask.' });
  const install = (what: string, packages: readonly DebianPackage[]): Promise<void> => (packages.length === 0 ? Promise.resolve() : progress.step(what, () => installPackages(packages.map((one) => one.name), progress)));
  await install('Installing Debian packages', base);
  const before = performance.now();
  await install('Installing QEMU', vm);
  return performance.now() - before;
}

/** One that runs from this copy and answers is left alone; any other is replaced, its instances go on. */
async function ensureDaemon(copy: string, place: Place, progress: Progress): Promise<void> {
  if (runningCopy(place) === copy && (await daemonAnswers(place))) {
    progress.note('the daemon runs already');
    return;
  }
  await progress.step('Starting the daemon', async () => {
    await stopDaemons(place);
    await startService(copy, place);
    await waitUntilReady(place);
  });
}

async function bringEstate(copy: string, place: Place, command: BerthCommand, progress: Progress, print: (text: string) => void): Promise<void> {
  const osRelease = await fs.promises.readFile('/etc/os-release', 'utf8').catch(() => '');
  await progress.step('Fetching the kernel of virtual machines', async () => {
    // Containers do without: a host whose mirror has none still gets its estate.
    await ensureLists(progress);
    await prepareGuestKernel(path.join(place.root, 'kernels'), (message) => progress.note(message)).catch((error: unknown) => progress.note(`not now: ${(error as Error).message}`));
  });
  await progress.step('Building images on this host', () => buildImages(localImages(suiteOf(osRelease)), command, progress));
  await progress.step('Applying the example estate', () => command.watch(['apply', '-f', estateFile(copy)], (line) => progress.note(line)));
  const instances = await progress.step('Waiting until every instance runs and answers', () => waitForEstate(command, progress));
  print(`\n${estateTable(instances)}`);
}

async function buildImages(images: readonly LocalImage[], command: BerthCommand, progress: Progress): Promise<void> {
  const there = await knownReferences(command);
  const left = images.filter((image) => !there.some((reference) => reference === image.as || reference.startsWith(`${image.as}:`) || reference.endsWith(`/${image.as}`) || reference.endsWith(`/${image.as}:latest`)));
  const worker = async (): Promise<void> => {
    for (let image = left.shift(); image !== undefined; image = left.shift()) {
      const { as, base, include = [] } = image;
      const startedAt = performance.now();
      await command.watch(['image', 'bootstrap', base, ...(include.length === 0 ? [] : ['--include', include.join(',')]), ...(as === base ? [] : ['--as', as])], () => undefined);
      progress.note(`${as} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    }
  };
  await Promise.all(Array.from({ length: IMAGES_AT_ONCE }, worker));
}

async function knownReferences(command: BerthCommand): Promise<readonly string[]> {
  const images = JSON.parse(await command.read(['image', 'list', '-o', 'json'])) as readonly { readonly spec?: { readonly references?: readonly string[] } }[];
  return images.flatMap((image) => image.spec?.references ?? []);
}

async function waitForEstate(command: BerthCommand, progress: Progress): Promise<readonly ListedInstance[]> {
  const end = performance.now() + ESTATE_DEADLINE_MS;
  let said = '';
  for (;;) {
    const instances = parseInstances(await command.read(['list', '-a', '-o', 'json'])).filter((one) => one.meta.owner === 'examples');
    const waiting = instances.length === 0 ? ['the first instance'] : await notYetAnswering(instances);
    if (waiting.length === 0) return instances;
    if (waiting.join() !== said) progress.note(`waiting for ${waiting.join(', ')}`);
    said = waiting.join();
    if (performance.now() > end) throw new BerthError('timeout', `The estate does not answer yet: ${waiting.join(', ')}.`, { hint: 'berth list; berth logs NAME' });
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
