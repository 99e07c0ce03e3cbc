/**
 * JSON from strangers. JSON.parse takes the last of two equal keys, nests without end and makes `__proto__` a member
 * like any other; each of these let somebody check one document and use another.
 */

export interface JsonLimits {
  /** Of the UTF-8 text. */
  readonly maxBytes?: number;
  /** How many lists and objects may lie within each other. */
  readonly maxDepth?: number;
  /** Members of objects and elements of lists, in the whole document. */
  readonly maxKeys?: number;
}

export const JSON_LIMITS = { maxBytes: 1024 * 1024, maxDepth: 32, maxKeys: 10_000 } as const satisfies JsonLimits;

/** `path` is dotted, with list positions as numbers: `spec.mounts.0.target`; empty for the document itself. */
export class JsonError extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.name = 'JsonError';
    this.path = path;
  }
}

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);
const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const COMMA = 44;
const COLON = 58;

interface Level {
  /** Keys seen so far; undefined in a list. */
  readonly keys: Set<string> | undefined;
  key: string;
  index: number;
}

/**
 * Throws JsonError for text that is no JSON (RFC 8259), is not UTF-8, is beyond a limit, has a key twice in one object,
 * or has a key that reaches an object's prototype.
 */
export function parseJsonStrict(input: string | Uint8Array, limits: JsonLimits = {}): unknown {
  const { maxBytes = JSON_LIMITS.maxBytes, maxDepth = JSON_LIMITS.maxDepth, maxKeys = JSON_LIMITS.maxKeys } = limits;
  if ((typeof input === 'string' ? Buffer.byteLength(input) : input.length) > maxBytes) {
    throw new JsonError('', `The JSON text has more than ${maxBytes} bytes.`);
  }
  const text = typeof input === 'string' ? input : decode(input);
  checkStructure(text, maxDepth, maxKeys);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new JsonError('', `This is not valid JSON: ${(error as Error).message}.`);
  }
}

function decode(input: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(input);
  } catch {
    throw new JsonError('', 'The JSON text is not valid UTF-8.');
  }
}

/**
 * Walks over the tokens before anything is built, so that a hostile document costs no memory. It judges structure only;
 * what is not JSON in other ways is JSON.parse's to say.
 */
function checkStructure(text: string, maxDepth: number, maxKeys: number): void {
  const levels: Level[] = [];
  let count = 0;
  let atKey = false;
  const path = (): string => levels.map((level) => (level.keys === undefined ? String(level.index) : level.key)).join('.');
  const another = (): void => {
    if (++count > maxKeys) throw new JsonError(path(), `The JSON text has more than ${maxKeys} members and elements.`);
  };
  for (let at = 0; at < text.length; at++) {
    const level = levels.at(-1);
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = stringEnd(text, at);
        if (atKey && level?.keys !== undefined) {
          const key = keyText(text.slice(at, end + 1));
          level.key = key;
          if (FORBIDDEN.has(key)) throw new JsonError(path(), `The key ${key} is not allowed.`);
          if (level.keys.has(key)) throw new JsonError(path(), `The key ${JSON.stringify(key)} is there twice.`);
          level.keys.add(key);
          another();
        }
        at = end;
        break;
      }
      case OPEN_OBJECT:
      case OPEN_LIST: {
        if (levels.length === maxDepth) throw new JsonError(path(), `The JSON text is nested deeper than ${maxDepth} levels.`);
        const isObject = text.charCodeAt(at) === OPEN_OBJECT;
        levels.push({ keys: isObject ? new Set() : undefined, key: '', index: 0 });
        atKey = isObject;
        if (!isObject) another();
        break;
      }
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        levels.pop();
        atKey = false;
        break;
      case COMMA:
        atKey = level?.keys !== undefined;
        if (level !== undefined && level.keys === undefined) {
          level.index++;
          another();
        }
        break;
      case COLON:
        atKey = false;
        break;
      default:
    }
  }
}

/** Where the string that begins at `start` ends. */
function stringEnd(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) throw new JsonError('', 'This is not valid JSON: a string has no end.');
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
}

/** Keys are compared as they will be, with escapes resolved: "\u005f_proto__" is one as well. */
function keyText(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    throw new JsonError('', 'This is not valid JSON: a key has a wrong escape.');
  }
}
