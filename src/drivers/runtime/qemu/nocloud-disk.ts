/**
 * cloud-init's data source NoCloud as a disk: ISO 9660 (ECMA-119) with Joliet names, labelled CIDATA. The names of plain
 * ISO 9660 have no dash and no small letters; whoever reads those gets them as near as it goes.
 */
const SECTOR = 2048;
const LABEL = 'CIDATA';
/** cloud-init's own bound is far below. */
const MAX_BYTES = 4 * 1024 * 1024;
const FIRST_DESCRIPTOR = 16;
const PATHS = { plain: 19, plainBig: 20, joliet: 21, jolietBig: 22 } as const;
const ROOTS = { plain: 23, joliet: 24 } as const;
const FIRST_FILE = 25;
const DIRECTORY = 2;

interface PlacedFile {
  readonly name: string;
  readonly sector: number;
  readonly data: Buffer;
}

/** Reproducible: the same files make the same disk. */
export function nocloudDisk(files: Readonly<Record<string, string>>): Buffer {
  let sector = FIRST_FILE;
  const placed = Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, text]): PlacedFile => {
    const data = Buffer.from(text), at = sector;
    sector += Math.max(1, Math.ceil(data.length / SECTOR));
    return { name, sector: at, data };
  });
  if (sector * SECTOR > MAX_BYTES) throw new RangeError('a seed is at most 4 MiB');
  const disk = Buffer.alloc(sector * SECTOR);
  const put = (at: number, data: Buffer): void => { data.copy(disk, at * SECTOR); };
  put(FIRST_DESCRIPTOR, volume({ joliet: false, sectors: sector }));
  put(FIRST_DESCRIPTOR + 1, volume({ joliet: true, sectors: sector }));
  put(FIRST_DESCRIPTOR + 2, Buffer.from('\xffCD001\x01', 'latin1'));
  for (const [table, root, bigEndian] of [[PATHS.plain, ROOTS.plain, false], [PATHS.plainBig, ROOTS.plain, true], [PATHS.joliet, ROOTS.joliet, false], [PATHS.jolietBig, ROOTS.joliet, true]] as const) put(table, pathTable(root, bigEndian));
  put(ROOTS.plain, directory(ROOTS.plain, placed.map((file) => [Buffer.from(`${file.name.toUpperCase().replaceAll('-', '_')}.;1`), file])));
  put(ROOTS.joliet, directory(ROOTS.joliet, placed.map((file) => [utf16(file.name), file])));
  for (const file of placed) put(file.sector, file.data);
  return disk;
}

/** ECMA-119 8.4 and 8.5. */
function volume({ joliet, sectors }: { readonly joliet: boolean; readonly sectors: number }): Buffer {
  const text = (value: string, length: number): Buffer => (joliet ? utf16(value.padEnd(length / 2)) : Buffer.from(value.padEnd(length)));
  const descriptor = Buffer.alloc(SECTOR);
  descriptor.write(`${joliet ? '\x02' : '\x01'}CD001\x01`, 'latin1');
  text('', 32).copy(descriptor, 8);
  text(LABEL, 32).copy(descriptor, 40);
  both32(descriptor, 80, sectors);
  // UCS-2 level 3
  if (joliet) descriptor.write('%/E', 88, 'latin1');
  for (const [at, value] of [[120, 1], [124, 1], [128, SECTOR]] as const) both16(descriptor, at, value);
  both32(descriptor, 132, 10);
  descriptor.writeUInt32LE(joliet ? PATHS.joliet : PATHS.plain, 140);
  descriptor.writeUInt32BE(joliet ? PATHS.jolietBig : PATHS.plainBig, 148);
  record(Buffer.from([0]), joliet ? ROOTS.joliet : ROOTS.plain, SECTOR, DIRECTORY).copy(descriptor, 156);
  for (const [at, length] of [[190, 128], [318, 128], [446, 128], [574, 128], [702, 37], [739, 37], [776, 37]] as const) text('', length - length % 2).copy(descriptor, at);
  for (const at of [813, 830, 847, 864]) descriptor.write('0'.repeat(16), at, 'latin1');
  descriptor[881] = 1;
  return descriptor;
}

/** 9.4: the root alone. */
function pathTable(root: number, bigEndian: boolean): Buffer {
  const table = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (bigEndian) table.writeUInt32BE(root, 2);
  else table.writeUInt32LE(root, 2);
  table[bigEndian ? 7 : 6] = 1;
  return table;
}

/** `.`, `..` and what is in it. */
function directory(own: number, entries: readonly (readonly [Buffer, PlacedFile])[]): Buffer {
  const all = Buffer.concat([
    record(Buffer.from([0]), own, SECTOR, DIRECTORY), record(Buffer.from([1]), own, SECTOR, DIRECTORY),
    ...entries.map(([name, file]) => record(name, file.sector, file.data.length, 0)),
  ]);
  if (all.length > SECTOR) throw new RangeError('too many files for one directory');
  return all;
}

/** 9.1. Made in 1970 as far as anybody can tell. */
function record(name: Buffer, sector: number, bytes: number, flags: number): Buffer {
  const length = 33 + name.length, entry = Buffer.alloc(length + length % 2);
  entry[0] = entry.length;
  both32(entry, 2, sector);
  both32(entry, 10, bytes);
  entry.set([70, 1, 1], 18);
  entry[25] = flags;
  both16(entry, 28, 1);
  entry[32] = name.length;
  name.copy(entry, 33);
  return entry;
}

function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}

function both16(target: Buffer, at: number, value: number): void {
  target.writeUInt16LE(value, at);
  target.writeUInt16BE(value, at + 2);
}

function both32(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value, at);
  target.writeUInt32BE(value, at + 4);
}
