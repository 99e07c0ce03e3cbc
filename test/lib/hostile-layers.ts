/** Layers that must be refused, each by the rule that it is named after. `canary` is a directory outside. */
import zlib from 'node:zlib';
import { paxEntry, sealTarHeader, tarEnd, tarEntry, tarHeader, tarPadding } from '../../src/lib/tar-header.ts';
import type { LayerLimits } from '../../src/drivers/unpack/driver.ts';
import { capabilityAttribute, compress, dir, file, hardlink, layerTar, symlink, type LayerEntry } from './image-builder.ts';

export interface HostileLayer {
  /** The case of the catalogue of attacks that it belongs to. */
  readonly id: string;
  readonly name: string;
  readonly bytes: Buffer;
  readonly compression?: 'gzip' | 'zstd';
  readonly limits?: Partial<LayerLimits>;
  readonly code: 'invalid' | 'exhausted';
  /** What `details.rule` of the error says. */
  readonly rule: string;
  /** The switch in native/rules.h without which the outcome must change; absent where several walls stand behind each other. */
  readonly guard?: string;
}

function refused(id: string, name: string, rule: string, guard: string | undefined, entries: readonly (LayerEntry | Uint8Array)[], more: Partial<HostileLayer> = {}): HostileLayer {
  return { id, name, rule, ...(guard === undefined ? {} : { guard }), code: 'invalid', bytes: layerTar(entries), ...more };
}

const rawPath = (path: Uint8Array, content = 'x'): Uint8Array => Buffer.concat([paxEntry([['path', path]]), tarEntry({ path: 'short' }, Buffer.from(content))]);

function traversal(canary: string): HostileLayer[] {
  const absolute = 'ABSOLUTE_PATH', parent = 'PARENT_REFERENCE';
  return [
    refused('D03', 'up and out', 'parentReference', parent, [file('../x', 'x')]),
    refused('D03', 'absolute path', 'absolutePath', absolute, [file(`${canary}/new`, 'x')]),
    refused('D03', 'down, up and out', 'parentReference', parent, [dir('a'), file('a/../../x', 'x')]),
    refused('D03', 'up behind a dot', 'parentReference', parent, [file('./../x', 'x')]),
    refused('D03', 'up that stays inside', 'parentReference', parent, [dir('a'), file('a/../x', 'x')]),
    refused('D03', 'the parent itself', 'parentReference', parent, [dir('..')]),
    refused('D03', 'NUL in a PAX path', 'nulInPath', 'NUL_IN_PATH', [rawPath(Buffer.from('a\0/../../x'))]),
    refused('D03', 'a path of 4,097 bytes', 'pathLength', 'PATH_LENGTH', [file(`${'d/'.repeat(2048)}x`, 'x')]),
    refused('D03', 'a component of 256 bytes', 'pathLength', 'PATH_LENGTH', [file('n'.repeat(256), 'x')]),
    refused('D03', 'a drive letter and up', 'drivePrefix', 'DRIVE_PREFIX', [file('C:../x', 'x')]),
    refused('D03', 'an empty path', 'emptyPath', undefined, [file('', 'x')]),
    refused('D03', 'a file in place of the root', 'emptyPath', undefined, [file('./', 'x')]),
  ];
}

function symlinks(canary: string): HostileLayer[] {
  const through = (name: string, entries: readonly LayerEntry[]) => refused('D04', name, 'throughSymlink', 'THROUGH_SYMLINK', entries);
  return [
    through('SymlinkAbsolute', [dir('etc'), symlink('/etc', 'localetc'), file('localetc/unbroken', 'x')]),
    through('SymlinkAbsolute, to the canary', [symlink(canary, 'out'), file('out/new', 'x')]),
    through('SymlinkUpAndOut', [dir('etc'), dir('dummy'), symlink('/dummy/../etc', 'localetc'), file('localetc/unbroken', 'x')]),
    through('SymlinkMultipleAbsolute', [dir('etc'), dir('dummy'), symlink('/etc', 'dummy/etc'), symlink('/dummy/etc', 'localetc'), file('dummy/etc/unbroken', 'x')]),
    through('SymlinkMultipleRelative', [dir('etc'), dir('dummy'), symlink('/etc', 'dummy/etc'), symlink('./dummy/etc', 'localetc'), file('dummy/etc/unbroken', 'x')]),
    through('SymlinkEmptyFile', [dir('etc'), file('etc/emptied', 'notempty'), symlink('/etc', 'localetc'), file('localetc/emptied')]),
    through('SymlinkOverrideDirectory', [dir('etc'), file('etc/passwd', 'inside'), dir('localetc'), symlink('/etc', 'localetc'), file('localetc/new', 'x')]),
    through('SymlinkOverrideDirectoryRelative', [dir('etc'), dir('localetc'), symlink('../../etc', 'localetc'), file('localetc/new', 'x')]),
    through('SymlinkOverridePath', [dir('a'), dir('a/b'), symlink(canary, 'a'), file('a/b/c', 'x')]),
    through('a directory made behind a symbolic link', [dir('etc'), symlink('etc', 'l'), dir('l/sub')]),
    refused('D04', 'SymlinkParentDirectory', 'parentReference', 'PARENT_REFERENCE', [symlink('/etc/', '..')]),
    refused('D04', 'SymlinkParentRelative', 'parentReference', 'PARENT_REFERENCE', [symlink('/etc/', 'localetc/sub/..')]),
    refused('D04', 'SymlinkEmptyFilename', 'emptyPath', undefined, [symlink('/etc/', '')]),
    refused('D06', 'a directory is replaced by a symbolic link after it was used', 'throughSymlink', 'THROUGH_SYMLINK', [dir('d'), file('d/1', 'x'), symlink(canary, 'd'), file('d/2', 'x')]),
    refused('D06', 'case twins do not share what is known of one', 'throughSymlink', 'THROUGH_SYMLINK', [dir('D'), file('D/1', 'x'), symlink(canary, 'd'), file('d/2', 'x')]),
    refused('D06', 'NFC and NFD twins do not share what is known of one', 'throughSymlink', 'THROUGH_SYMLINK', [dir('\u00e9'), file('\u00e9/1', 'x'), symlink(canary, 'e\u0301'), file('e\u0301/2', 'x')]),
  ];
}

function hardlinks(canary: string): HostileLayer[] {
  const etc = [dir('etc', 0o770), file('etc/passwd', 'inside')];
  const absolute = (name: string, entries: readonly LayerEntry[]) => refused('D05', name, 'absolutePath', 'ABSOLUTE_PATH', entries);
  return [
    refused('D05', 'HardlinkRelative', 'throughSymlink', 'THROUGH_SYMLINK', [...etc, dir('breakouts'), symlink('../etc', 'breakouts/d1'), hardlink('breakouts/d1/passwd', 'breakouts/mypasswd')]),
    refused('D05', 'HardlinkDownAndOut', 'throughSymlink', 'THROUGH_SYMLINK', [...etc, dir('breakouts'), dir('downandout'), symlink('../downandout/../etc', 'breakouts/d1'), hardlink('breakouts/d1/passwd', 'breakouts/mypasswd')]),
    absolute('HardlinkAbsolute', [...etc, symlink('/etc', 'localetc'), hardlink('/localetc/passwd', 'localpasswd')]),
    refused('D05', 'HardlinkRelativeLong', 'throughSymlink', undefined, [...etc, symlink('../../../../../../../etc', 'localetc'), hardlink('localetc/passwd', 'localpasswd')]),
    refused('D05', 'HardlinkRelativeUpAndOut', 'throughSymlink', undefined, [...etc, symlink('upandout/../../../etc', 'localetc'), hardlink('localetc/passwd', 'localpasswd')]),
    refused('D05', 'HardlinkDirectRelative', 'parentReference', 'PARENT_REFERENCE', [...etc, hardlink('../../../../../etc/passwd', 'localpasswd')]),
    absolute('HardlinkDirectAbsolute', [...etc, hardlink('/etc/passwd', 'localpasswd')]),
    absolute('a hard link to the canary', [hardlink(`${canary}/file`, 'stolen')]),
    absolute('HardlinkSymlinkChmod: the mode of what the link names stays', [symlink(`${canary}/file`, 'l'), { ...hardlink(`${canary}/file`, 'sketchy'), mode: 0o777 }]),
    refused('D05', 'DirectoryOverrideSymlinkAndHardlink', 'throughSymlink', 'THROUGH_SYMLINK', [...etc, symlink('etc', 'localetc'), hardlink('etc/passwd', 'localetc/localpasswd')]),
    refused('D05', 'a hard link to a directory', 'hardlinkTarget', 'HARDLINK_TARGET', [dir('d'), hardlink('d', 'e')]),
    refused('D05', 'a hard link to a whiteout', 'hardlinkTarget', 'HARDLINK_TARGET', [file('.wh.gone'), hardlink('gone', 'copy')]),
    refused('D05', 'a hard link to something of a lower layer', 'hardlinkTarget', undefined, [hardlink('not/here', 'copy')]),
    refused('D05', 'a hard link to the root', 'hardlinkTarget', undefined, [hardlink('./', 'copy')]),
  ];
}

function whiteouts(): HostileLayer[] {
  const etc = [dir('etc'), file('etc/passwd', 'inside')];
  const wrong = (name: string, entries: readonly LayerEntry[]) => refused('D07', name, 'whiteoutName', 'WHITEOUT_NAME', entries);
  return [
    wrong('WhiteoutRoot', [...etc, file('.wh..')]),
    wrong('WhiteoutRootParent', [...etc, file('.wh...')]),
    wrong('WhiteoutParent', [...etc, file('etc/.wh...')]),
    wrong('WhiteoutCurrentDirectory', [...etc, file('etc/.wh..')]),
    refused('D07', 'WhiteoutSymlinkPath', 'throughSymlink', 'THROUGH_SYMLINK', [...etc, symlink('etc', 'localetc'), file('localetc/.wh.whitedout')]),
    wrong('WhiteoutDirectoryName', [...etc, file('.wh.etc/somefile', 'x')]),
    refused('D07', 'WhiteoutDeadSymlinkParent', 'throughSymlink', undefined, [...etc, symlink('/dne', 'localetc'), file('localetc/.wh.etc')]),
    refused('D07', 'WhiteoutRelativePath', 'parentReference', 'PARENT_REFERENCE', [...etc, dir('dne'), file('dne/../.wh.etc')]),
    wrong('an opaque root', [file('.wh..wh..opq')]),
    wrong('a whiteout of nothing', [file('.wh.')]),
    wrong('marks of other union file systems', [dir('.wh..wh.plnk')]),
    wrong('marks of other union file systems, as files', [file('.wh..wh.aufs')]),
    wrong('a directory named like a whiteout', [dir('.wh.d')]),
    wrong('a symbolic link named like a whiteout', [symlink('x', '.wh.l')]),
    wrong('a hard link to the name of a whiteout', [file('a'), hardlink('.wh.a', 'b')]),
    refused('D07', 'a whiteout with content', 'whiteoutName', undefined, [file('.wh.a', 'x')]),
  ];
}

function entries(): HostileLayer[] {
  const flagged = (flag: string): Uint8Array => {
    const block = Buffer.from(tarHeader({ path: 'odd' }));
    block.write(flag, 156, 'latin1');
    return sealTarHeader(block);
  };
  const sized = (path: string, size: string): Uint8Array => {
    const block = Buffer.from(tarHeader({ path }));
    block.write(size.padEnd(12, '\0'), 124, 'latin1');
    return sealTarHeader(block);
  };
  const badSum = Buffer.from(tarHeader({ path: 'a' }));
  badSum[0] = 0x62;
  const manyXattrs = paxEntry(Array.from({ length: 300 }, (_, index) => [`SCHILY.xattr.user.k${index}`, 'v'] as const));
  return [
    refused('D08', 'a user id above 65535', 'idRange', 'ID_RANGE', [{ ...file('a'), uid: 65_536 }]),
    refused('D08', 'a group id above 65535, in a PAX header', 'idRange', 'ID_RANGE', [paxEntry([['gid', '4294967295']]), file('a')]),
    refused('D08', 'an unknown type', 'type', undefined, [flagged('Z')]),
    refused('D10', 'a sparse file of GNU tar', 'sparse', undefined, [flagged('S')]),
    refused('D10', 'a sparse file in a PAX header', 'sparse', 'TYPE', [paxEntry([['GNU.sparse.realsize', '9223372036854775807']]), tarEntry({ path: 'a' })]),
    refused('D10', 'a negative size in base 256', 'number', 'NUMBER', [tarHeader({ path: 'a', sizeBytes: -1 })]),
    refused('D10', 'a size with letters', 'number', 'NUMBER', [sized('a', '77x')]),
    refused('D10', 'a PAX size below zero', 'number', undefined, [paxEntry([['size', '-1']]), tarEntry({ path: 'a' })]),
    refused('D10', 'a directory with content', 'number', 'NUMBER', [tarHeader({ path: 'd/', type: 'directory', sizeBytes: 5 }), Buffer.from('12345'), tarPadding(5)]),
    refused('D10', 'a wrong checksum', 'checksum', undefined, [badSum]),
    refused('D10', 'two sizes in one PAX header', 'duplicateRecord', undefined, [paxEntry([['size', '0'], ['size', '512']]), tarEntry({ path: 'a' })]),
    refused('D10', 'two PAX headers for one entry', 'duplicateRecord', undefined, [paxEntry([['path', 'a']]), paxEntry([['path', 'b']]), tarEntry({ path: 'c' })]),
    refused('D10', 'a global header that renames everything', 'globalHeader', undefined, [paxEntry([['path', 'etc/shadow']], 'paxGlobal'), file('a')]),
    refused('D10', 'entries behind the end', 'trailingData', undefined, [file('a'), tarEnd(), tarEntry({ path: 'b' })]),
    refused('D10', 'an entry that ends early', 'truncated', undefined, [], { bytes: Buffer.concat([tarHeader({ path: 'a', sizeBytes: 4096 }), Buffer.alloc(100)]) }),
    refused('D10', 'not a tar at all', 'checksum', undefined, [], { bytes: Buffer.alloc(4096, 'nonsense') }),
    refused('D09', 'hundreds of attributes', 'xattr', undefined, [manyXattrs, tarEntry({ path: 'a' })], { code: 'exhausted' }),
    refused('D09', 'attributes of more than a megabyte', 'extendedHeader', undefined, [paxEntry([['SCHILY.xattr.user.big', 'v'.repeat(1_100_000)]]), tarEntry({ path: 'a' })], { code: 'exhausted' }),
  ];
}

const ratio = { maxRatio: 200 };
const zeros = Buffer.alloc(120 * 1024 * 1024);

function bombs(): HostileLayer[] {
  const large = layerTar([file('zeros', zeros)]);
  const member = zlib.gzipSync(zeros.subarray(0, 1024 * 1024));
  const members = Buffer.concat([zlib.gzipSync(tarHeader({ path: 'zeros', sizeBytes: zeros.length })), ...Array.from({ length: 120 }, () => member)]);
  const bomb = (name: string, more: Partial<HostileLayer> & { readonly rule: string }) => refused('D10', name, more.rule, more.guard, [], { code: 'exhausted', ...more });
  return [
    bomb('1,000 to 1 in gzip', { bytes: zlib.gzipSync(large, { level: 9 }), compression: 'gzip', limits: ratio, rule: 'maxRatio', guard: 'MAX_RATIO' }),
    bomb('1,000 to 1 in many gzip members', { bytes: members, compression: 'gzip', limits: ratio, rule: 'maxRatio', guard: 'MAX_RATIO' }),
    bomb('1,000 to 1 in zstd', { bytes: compress(large, 'zstd'), compression: 'zstd', limits: ratio, rule: 'maxRatio', guard: 'MAX_RATIO' }),
    bomb('a zstd window of 2 GiB', { bytes: zstdWindow(31), compression: 'zstd', rule: 'zstdWindow', guard: 'ZSTD_WINDOW' }),
    bomb('more bytes than allowed', { bytes: layerTar([file('a', zeros.subarray(0, 100_000))]), limits: { maxBytes: 50_000 }, rule: 'maxBytes', guard: 'MAX_BYTES' }),
    bomb('a claim of 8 EiB', { bytes: Buffer.from(tarHeader({ path: 'a', sizeBytes: 2 ** 53 })), rule: 'maxBytes', guard: 'MAX_BYTES' }),
    bomb('more entries than allowed', { bytes: layerTar(Array.from({ length: 11 }, (_, index) => file(`f${index}`))), limits: { maxEntries: 10 }, rule: 'maxEntries', guard: 'MAX_ENTRIES' }),
    refused('D10', 'gzip that ends early', 'gzip', undefined, [], { bytes: zlib.gzipSync(layerTar([file('a', 'x')])).subarray(0, 40), compression: 'gzip' }),
    refused('D10', 'zstd that ends early', 'zstd', undefined, [], { bytes: compress(layerTar([file('a', 'x')]), 'zstd').subarray(0, 20), compression: 'zstd' }),
    refused('D10', 'bytes behind the gzip data', 'gzip', undefined, [], { bytes: Buffer.concat([zlib.gzipSync(layerTar([])), Buffer.from('rest')]), compression: 'gzip' }),
    refused('D10', 'nothing where gzip should be', 'gzip', undefined, [], { bytes: Buffer.alloc(0), compression: 'gzip' }),
  ];
}

/** RFC 8878: magic, a frame header descriptor without single segment, the window, one raw block that is the last. */
function zstdWindow(log: number): Buffer {
  return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3, 0x01, 0x00, 0x00]);
}

export function hostileLayers(canary: string): readonly HostileLayer[] {
  return [...traversal(canary), ...symlinks(canary), ...hardlinks(canary), ...whiteouts(), ...entries(), ...bombs()];
}

/** An entry for each attribute that must not arrive, and some that must. */
export function attributeLayer(): Buffer {
  return layerTar([
    { ...dir('d'), xattrs: { 'user.overlay.opaque': 'y', 'trusted.overlay.opaque': 'y', 'user.keep': 'this' } },
    {
      ...file('f', 'x', 0o755),
      xattrs: {
        'security.capability': capabilityAttribute(1 << 13), 'user.overlay.redirect': '/etc', 'user.overlay.metacopy': '', 'trusted.overlay.redirect': '/etc',
        'system.posix_acl_access': Buffer.from([2, 0, 0, 0]), 'security.selinux': 'x', 'user.large': 'v'.repeat(5000), 'user.small': 'yes',
      },
    },
    { ...file('odd', 'x', 0o755), xattrs: { 'security.capability': Buffer.alloc(20) } },
  ]);
}
