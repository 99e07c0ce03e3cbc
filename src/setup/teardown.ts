/**
 * Removes everything on the host that belongs to one root, without its daemon and without its store: a root whose
 * daemon or store is broken must be removable too. What belongs to it is known by the root's tag, which every name on
 * the host carries, and by paths below its two directories.
 */
import fs from 'node:fs';
import path from 'node:path';
import { openControlGroups } from '../host/cgroup.ts';
import { Forwarding } from '../host/forwarding.ts';
import { LeaseDirectory } from '../host/lease-directory.ts';
import { MNT_DETACH, unmount } from '../host/libc.ts';
import { Links } from '../host/links.ts';
import { Nft } from '../host/nft.ts';
import { signalProcess } from '../host/process.ts';
import { run } from '../host/run.ts';
import { runningPrograms, type RunningProgram } from '../host/socket-owner.ts';
import { BerthError } from '../model/errors.ts';
import type { Place } from './daemon-process.ts';

export const LEASE_DIR = '/run/berth-leases';
const TAG = /^[0-9a-z]{6}$/;
const DEADLINE_MS = 30_000;

/** Programs that instances and networks are made of. Others that have a path of ours among their words are somebody's editor. */
const OUR_PROGRAMS = /^(conmon|crun|dnsmasq|berth-native|lxcfs|qemu-system-[\w-]+|virtiofsd)$/;

/**
 * Tags under which this root may have things on the host: its own file says it, and where that is lost the leases do.
 * None: no daemon ever finished its first start here.
 */
export function tagsOf(root: string, leaseDir = LEASE_DIR): readonly string[] {
  const tags = new Set<string>();
  const own = textOf(path.join(root, 'state/tag'))?.split('\n')[0];
  if (own !== undefined && TAG.test(own)) tags.add(own);
  for (const name of fs.existsSync(leaseDir) ? fs.readdirSync(leaseDir) : []) {
    const tag = /^root-([0-9a-z]{6})\.json$/.exec(name)?.[1];
    if (tag === undefined) continue;
    try {
      if ((JSON.parse(textOf(path.join(leaseDir, name)) ?? '{}') as { rootDir?: string }).rootDir === root) tags.add(tag);
    } catch {
      continue; // a torn file holds nothing
    }
  }
  return [...tags];
}

function textOf(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The helper processes of this root: monitors, name servers, port proxies, virtual machines. */
export function helpersOf(place: Place, programs: readonly RunningProgram[]): readonly RunningProgram[] {
  const below = [place.root, place.run].map((dir) => new RegExp(`(^|[=:,])${escape(dir)}(/|$)`));
  return programs.filter(({ args }) => OUR_PROGRAMS.test(path.basename(args[0] ?? '')) && args.some((word) => below.some((pattern) => pattern.test(word))));
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Interfaces are one letter, the tag, and more: v and b today. */
export function isLinkOf(tag: string, name: string): boolean {
  return TAG.test(tag) && new RegExp(`^[a-z]${tag}[0-9a-z]*$`).test(name);
}

function mountPoints(mountinfo: string): readonly string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const point = line.split(' ')[4];
    return point === undefined ? [] : [point.replace(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))];
  });
}

/** A root's own directories, and those right below them: what is mounted there is a disk that the admin gave it. */
const GIVEN_DEPTH = 2;

/** Disks that are the root's or the run directory's, or a part of the root: they stay mounted, and are emptied. */
export function givenDisks(mountinfo: string, { root, run }: Place): readonly string[] {
  const isPart = (point: string): boolean => point.startsWith(`${root}/`) && point.slice(root.length + 1).split('/').length <= GIVEN_DEPTH && !point.startsWith(`${run}/`);
  return mountPoints(mountinfo).filter((point) => point === root || point === run || isPart(point));
}

/** Mount points below the directories, deepest and latest first. */
export function mountsBelow(mountinfo: string, directories: readonly string[]): readonly string[] {
  return mountPoints(mountinfo).filter((point) => directories.some((dir) => point.startsWith(`${dir}/`))).toReversed();
}

/** Runs until nothing of the root is left; each part is idempotent. @throws when something is still there at the end. */
export async function removeFromHost(place: Place, leaseDir = LEASE_DIR): Promise<void> {
  const tags = tagsOf(place.root, leaseDir);
  // Monitors first: one that sees its unit die would still write and call.
  for (const { process } of helpersOf(place, runningPrograms()).filter((one) => path.basename(one.args[0]!) === 'conmon')) signalProcess(process, 'SIGKILL');
  for (const tag of tags) await removeGroups(`berth-${tag}`);
  await gone('processes', () => {
    const left = helpersOf(place, runningPrograms());
    for (const { process } of left) signalProcess(process, 'SIGKILL');
    return left.length === 0;
  });
  for (const tag of tags) {
    await removeLinks(tag);
    await removeTables(`berth_${tag}`);
    await removeLeases(place, tag, leaseDir);
  }
  const mountinfo = await fs.promises.readFile('/proc/self/mountinfo', 'utf8');
  const given = givenDisks(mountinfo, place);
  for (const point of mountsBelow(mountinfo, [place.root, place.run])) if (!given.includes(point)) unmount(point, MNT_DETACH);
  await removeTree(place.run, 'i', given);
  await removeTree(place.root, 'state', given);
}

const REMOVAL_TIMEOUT_MS = 1_800_000;

/**
 * `last` is what tells that the directory is ours: it goes at the end, so that an interrupted removal can be repeated.
 * Never into another file system that is not among `given`: a mount that would not come off must not be emptied. Given
 * disks and the directories that they are in stay.
 */
async function removeTree(dir: string, last: string | undefined, given: readonly string[]): Promise<void> {
  const entries = await fs.promises.readdir(dir).catch(() => undefined);
  if (entries === undefined) return;
  const paths = entries.map((name) => path.join(dir, name));
  const leads = (to: string): boolean => given.some((point) => point === to || point.startsWith(`${to}/`));
  for (const one of paths.filter(leads)) await removeTree(one, undefined, given);
  const rest = paths.filter((one) => !leads(one));
  await removeAll(rest.filter((one) => path.basename(one) !== last));
  await removeAll(leads(dir) ? rest.filter((one) => path.basename(one) === last) : [dir]);
}

async function removeAll(targets: readonly string[]): Promise<void> {
  if (targets.length > 0) await run('rm', ['-rf', '--one-file-system', '--', ...targets], { timeoutMs: REMOVAL_TIMEOUT_MS });
}

async function removeGroups(parent: string): Promise<void> {
  using groups = openControlGroups(parent);
  await gone('control groups', () => {
    const left = groups.ids();
    for (const id of left) groups.kill(id);
    return left.filter((id) => !groups.remove(id)).length === 0;
  });
  groups.removeParent();
}

async function removeLinks(tag: string): Promise<void> {
  using links = new Links();
  await gone('network interfaces', async () => {
    const left = (await links.list()).filter((link) => isLinkOf(tag, link.name));
    for (const link of left) await links.remove(link.index).catch(() => undefined);
    return left.length === 0;
  });
}

async function removeTables(name: string): Promise<void> {
  const nft = new Nft();
  const ours = (await nft.tables()).filter((table) => table.name === name);
  if (ours.length > 0) await nft.apply(ours.map((table) => ({ delete: { table: { family: table.family, name: table.name } } })));
}

/** The switches for forwarding go back to what they were with the last root that needed them. */
async function removeLeases(place: Place, tag: string, leaseDir: string): Promise<void> {
  const leases = new LeaseDirectory({ leaseDir, rootTag: tag, rootDir: place.root });
  await new Forwarding({ leases }).release();
  await leases.forget();
  // Under the lock, so that no other root can be about to write there.
  await leases.locked(async (_own, others) => {
    if (others.length === 0) await fs.promises.rm(leaseDir, { recursive: true, force: true });
    return { result: undefined };
  });
}

async function gone(what: string, attempt: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (!(await attempt())) {
    if (performance.now() > end) throw new BerthError('busy', `Some ${what} of this root are still there after ${DEADLINE_MS / 1000} s.`, { hint: 'Run the same command again.' });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
