/** Which room may import what: the table of the design as data, and the check that reads it. */
import { importsOf, isTest, isTypeScript, type SourceFile, type Violation } from './source-tree.ts';

export interface RoomRule {
  /** Prefixes of repository paths, or exact files. The room's own files are always allowed. */
  readonly files: readonly string[];
  /** npm packages. */
  readonly packages: readonly string[];
}

/** The first pattern that matches a path names its room. */
const DRIVER_FAMILY_FILE = /^src\/drivers\/([^/]+)\/[^/]+\.ts$/;
const DRIVER_TECHNOLOGY_FILE = /^src\/drivers\/([^/]+)\/([^/]+)\//;

export const ROOMS: Readonly<Record<string, RoomRule>> = {
  lib: { files: [], packages: [] },
  model: { files: ['src/lib/'], packages: ['zod'] },
  advise: { files: ['src/model/', 'src/lib/'], packages: ['yaml'] },
  host: { files: ['src/lib/', 'src/model/errors.ts'], packages: ['koffi'] },
  control: { files: ['src/advise/', 'src/model/', 'src/lib/'], packages: [] },
  api: { files: ['src/control/', 'src/model/', 'src/lib/'], packages: ['fastify', 'zod', 'ws'] },
  client: { files: ['src/model/', 'src/lib/'], packages: [] },
  cli: { files: ['src/client/', 'src/model/', 'src/lib/'], packages: ['yaml'] },
  setup: { files: ['src/host/', 'src/client/', 'src/model/', 'src/lib/'], packages: ['yaml'] },
};

const DRIVER_PACKAGES = ['tar-stream', 'yaml', 'zod', 'pino'];

/** Node's modules that open the door to Linux, and who may hold them. */
const GUARDED_MODULES = ['node:child_process', 'child_process', 'koffi'];

export interface ImportException {
  readonly file: string;
  readonly target: string;
  readonly why: string;
}

export const IMPORT_EXCEPTIONS: readonly ImportException[] = [
  { file: 'src/setup/generate/', target: 'src/advise/', why: 'writes the reference page of criteria and weights; never part of a running program' },
  { file: 'src/setup/generate/', target: 'zod', why: 'writes reference pages out of schemas; never part of a running program' },
  { file: 'src/api/conversation.ts', target: 'src/drivers/runtime/driver.ts', why: 'the type of the streams that control hands through' },
  { file: 'src/api/routes/image.ts', target: 'src/drivers/content/driver.ts', why: 'the type of the archive formats that control hands through' },
  { file: 'src/drivers/content/', target: 'src/drivers/unpack/driver.ts', why: 'a content store is given an unpacker, by its contract' },
  { file: 'src/drivers/content/', target: 'src/drivers/registry/driver.ts', why: 'a content store takes images in from a registry, by its contract' },
  { file: 'src/cli/terminal.ts', target: 'node:child_process', why: 'stty(1) alone reaches the output side of a terminal’s raw mode' },
  { file: 'src/cli/credential-program.ts', target: 'node:child_process', why: 'passwords that a helper program keeps are the caller’s: only a process of his may ask for them' },
  { file: 'src/drivers/content/dir/', target: 'src/drivers/content/bootstrap/', why: 'base images are made by programs of the distribution, a part of the store that is kept apart' },
];

export function importViolations(files: readonly SourceFile[], exceptions = IMPORT_EXCEPTIONS): readonly Violation[] {
  const violations: Violation[] = [];
  for (const file of files) {
    if (!isTypeScript(file) || !file.path.startsWith('src/')) continue;
    for (const one of importsOf(file)) {
      const wanted = one.target ?? one.specifier;
      if (exceptions.some((exception) => matches(file.path, exception.file) && matches(wanted, exception.target))) continue;
      const problem = one.specifier === '(computed)' ? 'computes what it imports' : refusal(file, one.specifier, one.target, one.dynamic);
      if (problem !== undefined) violations.push(`${file.path} ${problem}`);
    }
  }
  return violations;
}

/** A file, or everything below a directory. */
function matches(text: string, pattern: string): boolean {
  return pattern.endsWith('/') ? text.startsWith(pattern) : text === pattern;
}

function refusal(file: SourceFile, specifier: string, target: string | undefined, dynamic: boolean): string | undefined {
  const room = file.path.split('/')[1]!;
  if (GUARDED_MODULES.includes(specifier) && room !== 'host') return `imports ${specifier}: only src/host opens that door`;
  if (room === 'daemon' || specifier.startsWith('node:') || target === 'package.json') return undefined; // the version stands there alone
  if (isTest(file)) return testRefusal(room, target);
  const rule = ruleFor(file.path);
  if (rule === undefined) return 'lies in no room of the import table';
  if (target === undefined) {
    const name = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0]!;
    return rule.packages.includes(name) ? undefined : `imports the package ${name}, which room ${room} may not`;
  }
  if (room === 'cli' && target.startsWith('src/advise/')) return dynamic ? undefined : 'imports src/advise statically: it is loaded by `berth advise` alone';
  return rule.files.some((allowed) => target === allowed || (allowed.endsWith('/') && target.startsWith(allowed))) || contractOf(room, target) || sharedByFamily(file.path, target)
    ? undefined : `imports ${target}, which room ${room} may not`;
}

/** control knows the drivers by their contracts alone. */
function contractOf(room: string, target: string): boolean {
  return room === 'control' && /^src\/drivers\/[^/]+\/driver\.ts$/.test(target);
}

/** What lies beside a contract is for all technologies of its family, and for no other. */
function sharedByFamily(path: string, target: string): boolean {
  const family = DRIVER_FAMILY_FILE.exec(target)?.[1];
  return family !== undefined && path.startsWith(`src/drivers/${family}/`);
}

function ruleFor(path: string): RoomRule | undefined {
  if (DRIVER_FAMILY_FILE.test(path)) return { files: ['src/model/', 'src/lib/'], packages: [] };
  const technology = DRIVER_TECHNOLOGY_FILE.exec(path);
  if (technology !== null) return { files: [`src/drivers/${technology[1]!}/${technology[2]!}/`, 'src/host/', 'src/model/', 'src/lib/'], packages: DRIVER_PACKAGES };
  const room = path.split('/')[1]!;
  const rule = Object.hasOwn(ROOMS, room) ? ROOMS[room]! : undefined;
  return rule === undefined ? undefined : { ...rule, files: [...rule.files, `src/${room}/`] };
}

/** Rooms that promise to be tested without root must not reach Linux through their tests either. */
const TESTED_WITHOUT_ROOT = ['lib', 'model', 'advise', 'control'];

function testRefusal(room: string, target: string | undefined): string | undefined {
  return TESTED_WITHOUT_ROOT.includes(room) && target?.startsWith('src/host/') === true ? `imports ${target}: room ${room} is tested without root` : undefined;
}
