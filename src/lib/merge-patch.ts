/** JSON merge patch (RFC 7396) on plain data. */

/** Keys that reach into JavaScript's own machinery; nothing that came from outside may set them. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Answers a new value and changes neither argument. `null` removes a member, an object is merged, anything else (lists
 * too) replaces. Throws RangeError when the patch has a key that would reach an object's prototype.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return structuredClone(patch);
  const result: Record<string, unknown> = {};
  if (isObject(target)) for (const key of Object.keys(target)) set(result, key, structuredClone(target[key]));
  for (const key of Object.keys(patch)) {
    if (FORBIDDEN.has(key)) throw new RangeError(`A patch must not have a member called ${key}.`);
    const value = patch[key];
    if (value === null) delete result[key];
    else set(result, key, mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `result.__proto__ = …` would change the prototype where this makes a member. */
function set(result: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(result, key, { value, enumerable: true, writable: true, configurable: true });
}
