/** What stands between a request and its handler. Handed in at construction, so that a test can show what each is good for. */
import { JsonError, parseJsonStrict } from '../lib/json-strict.ts';
import { parseInput } from '../model/define.ts';
import { BerthError } from '../model/errors.ts';
import { assertNotCrossSite, assertPermission, callerOf } from './caller.ts';
import { withoutSecrets } from './hidden-fields.ts';

export interface EdgeGuards {
  /** Bytes of a body to the one document that rights and handler see. */
  readonly strictBody: (body: Uint8Array) => unknown;
  /** The document to what the route takes; unknown fields are errors. */
  readonly input: typeof parseInput;
  readonly notCrossSite: typeof assertNotCrossSite;
  readonly caller: typeof callerOf;
  readonly permission: typeof assertPermission;
  /** What lists and watches may show of an object. */
  readonly withoutSecrets: typeof withoutSecrets;
}

/** One document, the same for rights and handlers: no repeated keys, no prototype keys, bounded depth. */
function strictBody(body: Uint8Array): unknown {
  try {
    return parseJsonStrict(body);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new BerthError('invalid', `The body is not acceptable JSON: ${error.message}`, { fields: [{ path: error.path, message: error.message }] });
  }
}

export const EDGE_GUARDS: EdgeGuards = { strictBody, input: parseInput, notCrossSite: assertNotCrossSite, caller: callerOf, permission: assertPermission, withoutSecrets };
