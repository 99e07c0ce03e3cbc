/** `image bootstrap busybox`: the distribution's static busybox and the few files around it. Deterministic. */
import fs from 'node:fs/promises';
import { run } from '../../../host/run.ts';
import { tarEnd, tarEntry, type TarHeader } from '../../../lib/tar-header.ts';
import { BerthError } from '../../../model/errors.ts';

const BUSYBOX = '/bin/busybox';
const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const APPLET = /^(?:bin|sbin|usr\/bin|usr\/sbin)\/[A-Za-z0-9[][A-Za-z0-9._[+-]{0,60}$/;

const DIRECTORIES: readonly (readonly [string, number])[] = [
  ['bin', 0o755], ['dev', 0o755], ['etc', 0o755], ['home', 0o755], ['proc', 0o755], ['root', 0o700], ['run', 0o755], ['sbin', 0o755], ['sys', 0o755],
  ['tmp', 0o1777], ['usr', 0o755], ['usr/bin', 0o755], ['usr/sbin', 0o755], ['var', 0o755], ['var/tmp', 0o1777], ['var/www', 0o755],
];
const FILES: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n',
  'etc/group': 'root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n',
};

/** The root file system as a layer tar. */
export async function* busyboxLayer(program = BUSYBOX): AsyncGenerator<Uint8Array> {
  const binary = await fs.readFile(program).catch((cause: unknown) => {
    throw new BerthError('unavailable', `${program} is not there.`, { hint: 'Install busybox-static; `berth up` does it.', cause });
  });
  if (await isDynamic(program)) throw new BerthError('unavailable', `${program} needs shared libraries; a static one is needed.`, { hint: 'Install busybox-static.' });
  const { stdout } = await run(program, ['--list-full']);
  const entries: (readonly [TarHeader, Uint8Array?])[] = DIRECTORIES.map(([path, mode]) => [{ path: `${path}/`, type: 'directory', mode }]);
  for (const [path, content] of Object.entries(FILES)) entries.push([{ path }, text(content)]);
  entries.push([{ path: 'bin/busybox', mode: 0o755 }, binary]);
  for (const applet of stdout.split('\n').filter((line) => APPLET.test(line) && line !== 'bin/busybox').toSorted()) {
    entries.push([{ path: applet, type: 'hardlink', mode: 0o755, link: 'bin/busybox' }]);
  }
  for (const [header, content] of entries) yield tarEntry(header, content);
  yield tarEnd();
}

const ELF_INTERPRETER = 3;

/** Has the program header table an entry PT_INTERP? (ELF-64, elf(5)) */
async function isDynamic(program: string): Promise<boolean> {
  const head = (await fs.readFile(program)).subarray(0, 4096);
  const start = Number(head.readBigUInt64LE(32));
  const size = head.readUInt16LE(54), count = head.readUInt16LE(56);
  for (let i = 0; i < count; i++) if (start + i * size + 4 <= head.length && head.readUInt32LE(start + i * size) === ELF_INTERPRETER) return true;
  return false;
}
