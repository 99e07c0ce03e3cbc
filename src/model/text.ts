/** Strings at the edge: no control characters anywhere, and bounded (they reach config.json, nft, dnsmasq, argv as data). */
import * as z from 'zod';
import { NAME_PATTERN } from './ids.ts';

// eslint-disable-next-line no-control-regex -- control characters are exactly what this refuses
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/u;

export function plainText(maxLength: number, what = 'text'): z.ZodString {
  return z.string().max(maxLength).refine((text) => !CONTROL.test(text) && text.isWellFormed(), { message: `${what} may not hold control characters` });
}

/** A value that goes only into JSON and the process itself: anything but NUL. */
export function dataText(maxLength: number): z.ZodString {
  return z.string().max(maxLength).refine((text) => !text.includes('\0') && text.isWellFormed(), { message: 'may not hold NUL' });
}

export const nameText = z.string().regex(NAME_PATTERN, 'use 1–63 lower-case letters, digits and dashes, first and last a letter or digit');

export const environmentName = z.string().max(256).regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/, 'not a name of an environment variable');

/** Absolute path inside an instance, without `..`. */
export const insidePath = plainText(4096, 'a path')
  .refine((path) => path.startsWith('/'), { message: 'must be absolute' })
  .refine((path) => !path.split('/').some((part) => part === '..' || part === '.'), { message: "may not hold '.' or '..'" });

/** Made by Berth in every form, anew at each start: nothing of a user's may be mounted there, and nothing may start there. */
export const RESERVED_DIRECTORIES = ['/proc', '/sys', '/dev'] as const;

/** The reserved directory that a path is or lies in; `//proc/./x` is written many ways. */
export function reservedDirectory(path: string): string | undefined {
  const clean = `/${path.split('/').filter((part) => part !== '' && part !== '.').join('/')}`;
  return RESERVED_DIRECTORIES.find((dir) => clean === dir || clean.startsWith(`${dir}/`));
}

const OURS = `may not be in ${RESERVED_DIRECTORIES.join(', ')}: these are made by Berth`;

/** Where something of a user's is mounted. */
export const mountTarget = insidePath
  .refine((path) => path.split('/').some((part) => part !== ''), { message: 'may not be /, which is the image’s' })
  .refine((path) => reservedDirectory(path) === undefined, { message: OURS });

/** Where a process starts: below /proc a path means something else for everyone who walks it (CVE-2024-21626). */
export const workDirectory = insidePath.refine((path) => reservedDirectory(path) === undefined, { message: OURS });

export const labelName = z.string().max(128).regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/, 'not a label name');

export const bytesNumber = z.number().int().min(0).max(2 ** 53 - 1);
