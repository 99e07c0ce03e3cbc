/** For which system and processor an image was built: OS/ARCHITECTURE[/VARIANT], in Go's words, as images use them. */
import { BerthError } from './errors.ts';
import { printable } from './ids.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

const PART = /^[a-z0-9_][a-z0-9_.-]{0,31}$/;
/** What people and uname(1) say, and what images say. */
const ALIASES: Readonly<Record<string, string>> = { x86_64: 'amd64', 'x86-64': 'amd64', aarch64: 'arm64', armhf: 'arm', i386: '386', i686: '386' };
/** A variant that means the same as none. */
const USUAL_VARIANT: Readonly<Record<string, string>> = { arm64: 'v8', amd64: 'v1' };

/** `linux/arm64`, `linux/arm/v7`, or the architecture alone. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || parts.some((part) => !PART.test(part))) {
    throw new BerthError('invalid', `'${printable(text)}' is no platform.`, { hint: 'Write OS/ARCHITECTURE, for example linux/arm64.' });
  }
  const [os, architecture, variant] = parts.length === 1 ? ['linux', parts[0]!] : parts;
  return { os: os!, architecture: ALIASES[architecture!] ?? architecture!, ...(variant === undefined ? {} : { variant }) };
}

export function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}

/** Is `offered` (as an index says it; what it leaves out fits) what was `wanted`? */
export function matchesPlatform(offered: { readonly [K in keyof Platform]?: Platform[K] | undefined }, wanted: Platform): boolean {
  if ((offered.os ?? wanted.os) !== wanted.os || (offered.architecture ?? wanted.architecture) !== wanted.architecture) return false;
  const usual = USUAL_VARIANT[wanted.architecture];
  return wanted.variant === undefined || offered.variant === undefined
    ? true : (wanted.variant === usual ? undefined : wanted.variant) === (offered.variant === usual ? undefined : offered.variant);
}
