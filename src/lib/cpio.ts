/** Writer of “newc” cpio archives, what Linux takes as an initramfs (Documentation/driver-api/early-userspace). */

export interface CpioEntry {
  /** Relative, without a leading slash. */
  readonly path: string;
  /** File type and permission bits, as in stat(2). */
  readonly mode: number;
  readonly data?: Uint8Array | undefined;
  /** Major and minor number of a device node. */
  readonly device?: readonly [number, number] | undefined;
}

export const S_IFDIR = 0o040000, S_IFREG = 0o100000, S_IFCHR = 0o020000;

/** All times are 0 and inode numbers count up: equal entries give equal bytes. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  [...entries, { path: 'TRAILER!!!', mode: 0 }].forEach((entry: CpioEntry, index) => {
    const name = Buffer.from(`${entry.path}\0`);
    const data = entry.data ?? new Uint8Array();
    const links = (entry.mode & S_IFDIR) === S_IFDIR ? 2 : 1;
    const fields = [index + 1, entry.mode, 0, 0, links, 0, data.length, 0, 0, entry.device?.[0] ?? 0, entry.device?.[1] ?? 0, name.length, 0];
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, '0')).join('')}`);
    parts.push(header, name, padding(header.length + name.length), data, padding(data.length));
  });
  return Buffer.concat(parts);
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
