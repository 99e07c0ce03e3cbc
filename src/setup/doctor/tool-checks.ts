/** The programs that Berth calls: there, which version, with which known weaknesses. */
import { finding, type Check, type Finding } from './finding.ts';
import { weaknessesOf, type Weakness } from './weaknesses.ts';

interface Tool {
  readonly name: string;
  readonly package: string;
  readonly args: readonly string[];
  /** Without it: fail where all instances need it, else warn. */
  readonly without: { readonly status: 'fail' | 'warn'; readonly means: string };
  readonly forWhat: string;
}

const TOOLS: readonly Tool[] = [
  { name: 'crun', package: 'crun', args: ['--version'], forWhat: 'Starts containers.', without: { status: 'fail', means: 'No container can start.' } },
  { name: 'conmon', package: 'conmon', args: ['--version'], forWhat: 'Keeps instances, their logs and exit codes while the daemon is away.', without: { status: 'fail', means: 'No instance can start.' } },
  { name: 'nft', package: 'nftables', args: ['--version'], forWhat: 'Writes packet rules.', without: { status: 'fail', means: 'No network can be made.' } },
  { name: 'dnsmasq', package: 'dnsmasq-base', args: ['--version'], forWhat: 'Answers names on networks.', without: { status: 'fail', means: 'Instances cannot find each other by name.' } },
  { name: 'lxcfs', package: 'lxcfs', args: ['--version'], forWhat: 'Shows OS containers their own memory, load and uptime.', without: { status: 'warn', means: '`free`, `uptime` and `top` inside OS containers show the host’s values; limits hold all the same.' } },
  { name: 'qemu-system-x86_64', package: 'qemu-system-x86', args: ['--version'], forWhat: 'Runs virtual machines.', without: { status: 'warn', means: 'Virtual machines cannot run; containers can.' } },
  { name: 'mkfs.erofs', package: 'erofs-utils', args: ['-V'], forWhat: 'Packs images for virtual machines.', without: { status: 'warn', means: 'Virtual machines cannot run; containers can.' } },
  { name: 'mkfs.ext4', package: 'e2fsprogs', args: ['-V'], forWhat: 'Formats disks.', without: { status: 'warn', means: 'Virtual machines have no disk of their own.' } },
  { name: 'mmdebstrap', package: 'mmdebstrap', args: ['--version'], forWhat: 'Makes Debian images.', without: { status: 'warn', means: '`berth image bootstrap debian:…` is not possible.' } },
  { name: 'newuidmap', package: 'uidmap', args: [], forWhat: 'Maps ids for unprivileged helpers.', without: { status: 'warn', means: '`berth image bootstrap debian:…` is not possible.' } },
  { name: 'busybox', package: 'busybox-static', args: ['--help'], forWhat: 'Is the busybox image.', without: { status: 'warn', means: '`berth image bootstrap busybox` is not possible.' } },
];

export const tools: Check = async (host) => {
  const findings: Finding[] = [];
  for (const tool of TOOLS) {
    const answer = await host.run(tool.name, tool.args);
    if (answer === undefined) {
      findings.push(finding(`tool.${tool.name}`, tool.name, tool.without.status, 'not installed', tool.without.means, `apt-get install --no-install-recommends ${tool.package}`));
      continue;
    }
    const version = versionOf(answer.stdout + answer.stderr);
    findings.push(finding(`tool.${tool.name}`, tool.name, 'ok', version === '' ? 'installed' : version, tool.forWhat));
    findings.push(...weaknessesOf(tool.name, version).map((one) => weaknessFinding(tool.name, version, one)));
  }
  return findings;
};

/** nft turns protocol numbers of its own rules into names, and fails where no file knows them. */
export const protocolNames: Check = (host) => [host.exists('/etc/protocols')
  ? finding('tool.protocols', 'Names of protocols', 'ok', '/etc/protocols', 'nft looks them up.')
  : finding('tool.protocols', 'Names of protocols', 'fail', '/etc/protocols is missing', 'No network can be made.', 'apt-get install --no-install-recommends netbase')];

/** The first thing in a program's version text that looks like a version. */
export function versionOf(text: string): string {
  return /\bv?(\d+\.\d+(?:\.\d+)*)/.exec(text)?.[1] ?? '';
}

function weaknessFinding(tool: string, version: string, weakness: Weakness): Finding {
  const id = `weakness.${tool}.${weakness.id.replaceAll(' ', '-')}`;
  const title = `${tool} ${version}: ${weakness.id}`;
  return weakness.guard === undefined
    ? finding(id, title, 'fail', weakness.what, 'Nothing in Berth stands in front of it.', `Install ${tool} ${weakness.fixedIn} or newer.`)
    : finding(id, title, 'info', weakness.what, `Covered: ${weakness.guard.does} (test ${weakness.guard.test}).`, `${tool} ${weakness.fixedIn} removes it at its root.`);
}
