/**
 * Names and ids. A name is chosen by a person and may be reused after a delete; an id is ours and never is.
 * Both are validated before they are joined to a path, an interface name or a key.
 */
import { BerthError } from './errors.ts';

declare const brand: unique symbol;
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** 12 characters [0-9a-z], the first a letter: fits cgroup, path, interface (with a 2-letter prefix) and DNS names. */
export type ObjectId = Brand<string, 'ObjectId'>;
export type OperationId = Brand<string, 'OperationId'>;

const ID = /^[a-z][0-9a-z]{11}$/;
/** RFC 1123 label; names become host names and DNS records. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const DEFAULT_PROJECT = 'default';

export function isObjectId(text: string): text is ObjectId {
  return ID.test(text);
}

export function objectId(text: string): ObjectId {
  if (!isObjectId(text)) throw new BerthError('invalid', `'${printable(text)}' is not an id.`);
  return text;
}

/** `bytes` are at least 12 random bytes handed in by the caller: the model has no randomness of its own. */
export function makeObjectId(bytes: Uint8Array): ObjectId {
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const all = '0123456789abcdefghijklmnopqrstuvwxyz';
  let id = letters[bytes[0]! % 26]!;
  for (let i = 1; i < 12; i++) id += all[bytes[i]! % 36]!;
  return id as ObjectId;
}

export function assertName(text: string, path = 'meta.name'): string {
  if (typeof text === 'string' && NAME_PATTERN.test(text)) return text;
  throw new BerthError('invalid', `'${printable(text)}' is not a valid name.`, {
    hint: 'Use 1–63 lower-case letters, digits and dashes; the first and last are a letter or digit.',
    fields: [{ path, message: 'not a valid name' }],
  });
}

/** Text of unknown origin, shortened and without control characters, for use in a message. */
export function printable(text: unknown): string {
  const plain = String(text).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/gu, '?');
  return plain.length > 80 ? `${plain.slice(0, 77)}…` : plain;
}
