/** Room on the host: ids, disk, memory, limits of this process. */
import fs from 'node:fs';
import { finding, type Check } from './finding.ts';

const IDS_EACH = 65_536;

interface IdRange {
  readonly owner: string;
  readonly start: number;
  readonly count: number;
}

/** subuid(5): owner:start:count. */
export function parseIdRanges(text: string): readonly IdRange[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([^:#\s][^:]*):(\d+):(\d+)$/.exec(line.trim());
    return match === null ? [] : [{ owner: match[1]!, start: Number(match[2]), count: Number(match[3]) }];
  });
}

export function overlapping(ranges: readonly IdRange[]): readonly string[] {
  const sorted = [...ranges].sort((a, b) => a.start - b.start);
  return sorted.flatMap((one, index) => {
    const next = sorted[index + 1];
    return next !== undefined && next.owner !== one.owner && one.start + one.count > next.start ? [`${one.owner} and ${next.owner}`] : [];
  });
}

export const idRanges: Check = (host) => ['uid', 'gid'].map((kind) => {
  const file = `/etc/sub${kind}`;
  const ranges = parseIdRanges(host.readText(file) ?? '');
  const found = ranges.length === 0 ? `${file} names none` : ranges.map((one) => `${one.owner} ${one.start}+${one.count}`).join(', ');
  const clash = overlapping(ranges);
  return clash.length > 0
    ? finding(`ids.sub${kind}`, `Id ranges (${kind})`, 'warn', found, `The ranges of ${clash.join('; ')} overlap: their containers can reach each other's files. Berth uses none of them.`, `Give each a range of its own in ${file}.`)
    : finding(`ids.sub${kind}`, `Id ranges (${kind})`, 'ok', found, `Berth keeps clear of them and takes ${IDS_EACH} ids for each container elsewhere.`);
});

const GIB = 1024 ** 3;
const DISK_WARN_BYTES = 5 * GIB;
const DISK_FAIL_BYTES = 512 * 1024 ** 2;

export const disk: Check = (host) => {
  const dir = ['/var/lib/berth', '/var/lib', '/'].find((one) => host.exists(one)) ?? '/';
  const stat = fs.statfsSync(dir);
  const freeBytes = stat.bavail * stat.bsize;
  const found = `${(freeBytes / GIB).toFixed(1)} of ${((stat.blocks * stat.bsize) / GIB).toFixed(1)} GiB free on ${dir} (${fileSystemOf(host.readText('/proc/self/mountinfo') ?? '', dir)})`;
  if (freeBytes < DISK_FAIL_BYTES) return [finding('space.disk', 'Disk', 'fail', found, 'Nothing can be stored.', 'Make room, or choose another --root.')];
  if (freeBytes < DISK_WARN_BYTES) return [finding('space.disk', 'Disk', 'warn', found, 'Room for a few images only; 5 % always stay free.', 'Make room, or choose another --root.')];
  return [finding('space.disk', 'Disk', 'ok', found, 'Images, volumes and upper disks lie here; 5 % always stay free.')];
};

/** The type of the file system that holds `dir`: the longest mount point that is its prefix, the last of equals. */
export function fileSystemOf(mountinfo: string, dir: string): string {
  let best = { length: -1, type: 'unknown' };
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const point = left.split(' ')[4];
    const type = right.split(' ')[0];
    if (point === undefined || type === undefined || type === '') continue;
    if ((dir === point || dir.startsWith(point === '/' ? '/' : `${point}/`)) && point.length >= best.length) best = { length: point.length, type };
  }
  return best.type;
}

const RESERVE_BYTES = 512 * 1024 ** 2;

export const memory: Check = (host) => {
  const text = host.readText('/proc/meminfo') ?? '';
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  const total = bytes('MemTotal');
  const available = bytes('MemAvailable');
  const reserve = Math.max(RESERVE_BYTES, total * 0.1);
  const found = `${(available / GIB).toFixed(1)} of ${(total / GIB).toFixed(1)} GiB available`;
  return [available < reserve
    ? finding('space.memory', 'Memory', 'warn', found, `Less than the host's reserve of ${(reserve / GIB).toFixed(1)} GiB: starts are refused until memory is free.`, 'Stop something.')
    : finding('space.memory', 'Memory', 'ok', found, `${(reserve / GIB).toFixed(1)} GiB always stay free for the host.`)];
};

const NOFILE_WANTED = 65_536;
const INOTIFY_WANTED = 512;

export const limits: Check = (host) => {
  const open = /^Max open files\s+\S+\s+(\S+)/m.exec(host.readText('/proc/self/limits') ?? '')?.[1] ?? 'unknown';
  const few = open !== 'unlimited' && Number(open) < NOFILE_WANTED;
  const inotify = Number(host.readText('/proc/sys/fs/inotify/max_user_instances') ?? 0);
  return [
    finding('limits.open-files', 'Open files', few ? 'info' : 'ok', open, few ? 'Instances get at most that many: a higher limit in a spec is lowered to it, and the status shows it.' : 'Enough for the default of an instance.', few ? 'Start the daemon with a higher limit (LimitNOFILE in its unit).' : ''),
    finding('limits.inotify', 'Inotify instances', inotify < INOTIFY_WANTED ? 'info' : 'ok', String(inotify), inotify < INOTIFY_WANTED ? 'That many for each user; every container is a user of its own, so it rarely matters.' : 'Enough.', inotify < INOTIFY_WANTED ? `sysctl fs.inotify.max_user_instances=${INOTIFY_WANTED}` : ''),
  ];
};

export const SPACE_CHECKS: readonly Check[] = [idRanges, disk, memory, limits];
