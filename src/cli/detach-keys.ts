/** The keys that leave a terminal session: docker's notation, `ctrl-p,ctrl-q`. */
import { BerthError } from '../model/errors.ts';
import { printable } from '../model/ids.ts';

export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

export interface DetachKeys {
  /** Takes typed bytes; answers what goes on to the process, and whether the keys were complete. */
  filter(chunk: Uint8Array): { readonly bytes: Uint8Array; readonly detach: boolean };
}

/** Undefined for an empty text: no keys leave. */
export function detachKeys(text: string): DetachKeys | undefined {
  const keys = text === '' ? [] : text.split(',').map(keyByte);
  if (keys.length === 0) return undefined;
  let matched = 0;
  return {
    filter(chunk) {
      const out: number[] = [];
      for (const byte of chunk) {
        if (byte === keys[matched]) {
          if (++matched === keys.length) return { bytes: Uint8Array.from(out), detach: true };
          continue;
        }
        // What looked like the keys was typed for the process; the last byte may begin them again.
        out.push(...keys.slice(0, matched));
        matched = byte === keys[0] ? 1 : 0;
        if (matched === 0) out.push(byte);
      }
      return { bytes: Uint8Array.from(out), detach: false };
    },
  };
}

function keyByte(text: string): number {
  const control = /^ctrl-([a-z@[\\\]^_])$/.exec(text)?.[1];
  if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
  if (text.length === 1 && text.charCodeAt(0) < 128) return text.charCodeAt(0);
  throw new BerthError('invalid', `'${printable(text)}' is no key for --detach-keys.`, { hint: 'Write for example ctrl-p,ctrl-q: letters, or ctrl- with a letter or one of @[\\]^_.' });
}
