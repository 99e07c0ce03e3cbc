/** What a hostile guest that took its QEMU over could build on: walls that are not there, by name. */
import fs from 'node:fs';

export const NAMESPACES = ['mnt', 'net', 'ipc', 'uts', 'pid'];

/** What a hostile guest that took over this process could build on; nothing of it may be there. */
export function footholds(pid: number, ownFiles = /\/(root\.erofs|upper-\d\.ext4|null)$/, ownNames: readonly string[] = []): readonly string[] {
  const status = Object.fromEntries(fs.readFileSync(`/proc/${pid}/status`, 'utf8').split('\n').map((line) => line.split(':\t')));
  const root = fs.readdirSync(`/proc/${pid}/root`).filter((name) => !['dev', 'etc', 'kernel', 'lib', 'lib64', 'usr', ...ownNames].includes(name));
  const devices = fs.readdirSync(`/proc/${pid}/root/dev`).filter((name) => !['null', 'urandom'].includes(name));
  const writable = fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trim().split('\n').filter((line) => !line.split(' ')[5]!.startsWith('ro,nosuid'));
  const files = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`)).filter((target) => target.startsWith('/'));
  const core = /^Max core file size\s+(\d+)\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'));
  return [
    ...(new Set(status['Uid']!.split('\t')).size === 1 && Number(status['Uid']!.split('\t')[0]) > 0xffff ? [] : ['user']),
    ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].filter((kind) => !/^0+$/.test(status[kind]!)),
    ...(status['Groups']?.trim() === '' ? [] : ['groups']), ...(status['NoNewPrivs'] === '1' ? [] : ['NoNewPrivs']), ...(status['Seccomp'] === '2' ? [] : ['Seccomp']),
    ...NAMESPACES.filter((kind) => fs.readlinkSync(`/proc/${pid}/ns/${kind}`) === fs.readlinkSync(`/proc/self/ns/${kind}`)),
    ...(root.length + devices.length === 0 ? [] : ['root']), ...(writable.length === 0 ? [] : ['mounts']), ...(core?.[1] === '0' && core[2] === '0' ? [] : ['core']),
    ...files.filter((target) => !ownFiles.test(target)),
  ];
}

/** Sockets at which somebody could reach this process, and secrets that it shows; `dir` is the one place for sockets. */
export function openDoors(pid: number, dir: string, secrets: readonly string[]): readonly string[] {
  const inodes = new Set(fs.readdirSync(`/proc/${pid}/fd`).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []));
  const table = (name: string): string[][] => fs.readFileSync(`/proc/${pid}/net/${name}`, 'latin1').trim().split('\n').slice(1).map((line) => line.trim().split(/\s+/));
  const internet = ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6'].filter((name) => table(name).some((row) => inodes.has(row[9]!)));
  // Flag 10000: it listens (net/unix/af_unix.c).
  const local = fs.readFileSync('/proc/net/unix', 'latin1').trim().split('\n').slice(1).map((line) => line.trim().split(/\s+/)).filter((row) => inodes.has(row[6]!) && row[3] === '00010000').map((row) => row[7] ?? '');
  const modes = [dir, `${dir}/agent.sock`, `${dir}/qmp.sock`].filter((file) => fs.existsSync(file) && (fs.statSync(file).mode & 0o077) !== 0);
  const shown = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1') + fs.readFileSync(`/proc/${pid}/environ`, 'latin1');
  return [
    ...internet, ...local.filter((name) => !['agent.sock', 'qmp.sock'].includes(name)).map((name) => `unix ${name}`), ...modes.map((file) => `mode of ${file}`),
    ...(secrets.some((secret) => shown.includes(secret)) ? ['secret'] : []),
  ];
}
