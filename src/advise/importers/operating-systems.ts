/** What the names say by which tools call operating systems: family, distribution, version, and whether its maker still mends it. */
import type { WorkloadDraft } from './workload-draft.ts';

export interface OsFacts {
  readonly family: 'linux' | 'windows' | 'bsd' | 'other';
  readonly distribution?: string | undefined;
  readonly version?: string | undefined;
}

interface OsRule {
  readonly pattern: RegExp;
  readonly family: OsFacts['family'];
  readonly distribution?: string;
}

/** The first that matches. Versions are the first number after the match. */
const RULES: readonly OsRule[] = [
  { pattern: /windows|\bwin(dows)?[- ]?(\d|xp|vista|k)|microsoft\.com\/win|\bwin2k\d*|\bw2k\d*|^win\d+$/i, family: 'windows', distribution: 'Windows' },
  { pattern: /freebsd/i, family: 'bsd', distribution: 'FreeBSD' },
  { pattern: /openbsd/i, family: 'bsd', distribution: 'OpenBSD' },
  { pattern: /netbsd|dragonfly/i, family: 'bsd' },
  { pattern: /debian/i, family: 'linux', distribution: 'Debian' },
  { pattern: /ubuntu/i, family: 'linux', distribution: 'Ubuntu' },
  { pattern: /red ?hat|\brhel/i, family: 'linux', distribution: 'Red Hat Enterprise Linux' },
  { pattern: /centos/i, family: 'linux', distribution: 'CentOS' },
  { pattern: /alma/i, family: 'linux', distribution: 'AlmaLinux' },
  { pattern: /rocky/i, family: 'linux', distribution: 'Rocky Linux' },
  { pattern: /oracle ?linux|oraclelinux|\bol\d/i, family: 'linux', distribution: 'Oracle Linux' },
  { pattern: /\bsuse|\bsles|opensuse/i, family: 'linux', distribution: 'SUSE Linux' },
  { pattern: /alpine/i, family: 'linux', distribution: 'Alpine' },
  { pattern: /fedora/i, family: 'linux', distribution: 'Fedora' },
  { pattern: /arch ?linux/i, family: 'linux', distribution: 'Arch Linux' },
  { pattern: /gentoo/i, family: 'linux', distribution: 'Gentoo' },
  { pattern: /photon/i, family: 'linux', distribution: 'Photon OS' },
  { pattern: /linux|^l2[46]$/i, family: 'linux' },
  { pattern: /solaris|illumos|netware|mac ?os|darwin|\bos\/?2\b|esxi?\b/i, family: 'other' },
];

const CODE_NAMES: Readonly<Record<string, string>> = {
  jessie: '8', stretch: '9', buster: '10', bullseye: '11', bookworm: '12', trixie: '13',
  trusty: '14.04', xenial: '16.04', bionic: '18.04', focal: '20.04', jammy: '22.04', noble: '24.04',
};

/** undefined where the text names no system: “Other (64-bit)” is nothing that is known. */
export function osFacts(text: string): OsFacts | undefined {
  const rule = RULES.find((one) => one.pattern.test(text));
  if (rule === undefined) return undefined;
  return { family: rule.family, ...(rule.distribution === undefined ? {} : { distribution: rule.distribution }), ...versionOf(text, rule) };
}

function versionOf(text: string, rule: OsRule): { readonly version?: string } {
  const short = text.replaceAll(/\((32|64)[- ]?bit\)|x86_64|amd64|x64|\b64\b/gi, ' ');
  if (rule.family === 'windows') return windowsVersion(short);
  // “CentOS 4/5 or later” says what it is at least, which is nothing to be sure of.
  if (/\d\s*\/\s*\d|or later/i.test(short)) return {};
  const word = Object.keys(CODE_NAMES).find((name) => new RegExp(`\\b${name}\\b`, 'i').test(text));
  if (word !== undefined) return { version: CODE_NAMES[word]! };
  const number = /\d+(?:\.\d+)*/.exec(short.slice(Math.max(0, short.search(rule.pattern))))?.[0];
  return number === undefined ? {} : { version: number };
}

/** `Server 2019`, `win2k22`, `win11`, `Windows 10`. */
function windowsVersion(text: string): { readonly version?: string } {
  const short = /2k(\d\d?)/i.exec(text)?.[1];
  if (short !== undefined) return { version: `20${short.padStart(2, '0')}` };
  const long = /(?:server|windows|win)\D{0,12}(\d{4}(?: R2)?|\d+(?:\.\d+)?)/i.exec(text)?.[1];
  return long === undefined ? {} : { version: long };
}

/**
 * The last version of each that gets no security updates from its maker any more (paid extensions do not count), as its
 * maker's own life-cycle page says.
 */
const ENDED: Readonly<Record<string, { readonly upTo: number; readonly source: string }>> = {
  Debian: { upTo: 11, source: 'wiki.debian.org/LTS' },
  Ubuntu: { upTo: 20.04, source: 'ubuntu.com/about/release-cycle' },
  'Red Hat Enterprise Linux': { upTo: 7, source: 'access.redhat.com/support/policy/updates/errata' },
  CentOS: { upTo: 8, source: 'centos.org/centos-linux-eol' },
  'Oracle Linux': { upTo: 7, source: 'oracle.com/a/ocom/docs/elsp-lifetime-069338.pdf' },
  Windows: { upTo: 2012, source: 'learn.microsoft.com/lifecycle' },
  FreeBSD: { upTo: 13, source: 'freebsd.org/security/unsupported' },
};

/** Puts the facts into a draft. `from` is the field of the file that holds the name. */
export function writeOs(draft: WorkloadDraft, text: string | undefined, from: string): void {
  const facts = text === undefined || text === '' ? undefined : osFacts(text);
  if (facts === undefined) {
    draft.unknown('os.family', from);
    return;
  }
  draft.knew('os.family', facts.family, from);
  draft.knew('os.distribution', facts.distribution, from);
  draft.knew('os.version', facts.version, from);
  const ended = facts.distribution === undefined ? undefined : ENDED[facts.distribution];
  const version = Number.parseFloat(facts.version ?? '');
  // Windows 10 and 11 count from another beginning.
  if (ended === undefined || !(facts.distribution === 'Windows' ? version > 1000 : version > 0)) draft.unknown('os.unsupported', from);
  else draft.inferred('os.unsupported', version <= ended.upTo, `The maker of ${facts.distribution} ended security updates up to version ${ended.upTo} (${ended.source}).`, from);
}
