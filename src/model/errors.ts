/**
 * The one closed table of errors. Drivers translate what they meet into one of these codes; the HTTP edge and the
 * command line map them once (RFC 9457 problem+json; process exit code). Anything that is not a BerthError is a bug.
 */

export interface ErrorRule {
  /** HTTP status of a response that carries this error. */
  readonly httpStatus: number;
  /** Exit code of the CLI. 125–127 stay free for docker's meaning (`run`). */
  readonly exitCode: number;
  /** May the very same request succeed later without a change by the caller? */
  readonly retry: boolean;
  readonly means: string;
}

export const ERROR_RULES = {
  invalid: { httpStatus: 400, exitCode: 2, retry: false, means: 'The request is malformed or a field has a value that is not allowed.' },
  unauthenticated: { httpStatus: 401, exitCode: 3, retry: false, means: 'Nobody knows who is asking.' },
  forbidden: { httpStatus: 403, exitCode: 4, retry: false, means: 'The caller is known and may not do this.' },
  notFound: { httpStatus: 404, exitCode: 5, retry: false, means: 'No such object, or none that the caller may see.' },
  alreadyExists: { httpStatus: 409, exitCode: 6, retry: false, means: 'The name, address or port is taken.' },
  wrongState: { httpStatus: 409, exitCode: 7, retry: false, means: 'The object is not in a state that allows this verb.' },
  changed: { httpStatus: 412, exitCode: 8, retry: false, means: 'The object changed since it was read (If-Match).' },
  busy: { httpStatus: 423, exitCode: 9, retry: true, means: 'Another operation holds the object.' },
  exhausted: { httpStatus: 507, exitCode: 10, retry: true, means: 'A resource ran out: disk, memory, addresses, ids, quota.' },
  unsupported: { httpStatus: 422, exitCode: 11, retry: false, means: 'This form, host or version cannot do it; the reason says why.' },
  unavailable: { httpStatus: 503, exitCode: 12, retry: true, means: 'Something that is needed does not answer.' },
  timeout: { httpStatus: 504, exitCode: 13, retry: true, means: 'A deadline passed.' },
  internal: { httpStatus: 500, exitCode: 70, retry: false, means: 'A bug in Berth; the log has the cause under the request id.' },
} as const satisfies Record<string, ErrorRule>;

export type ErrorCode = keyof typeof ERROR_RULES;

export const ERROR_CODES = Object.keys(ERROR_RULES) as ErrorCode[];

/** One wrong field of a request. `path` is dotted, as the user wrote it: `spec.limits.memoryBytes`. */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

export interface BerthErrorOptions {
  readonly hint?: string | undefined;
  readonly fields?: readonly FieldError[] | undefined;
  readonly cause?: unknown;
  /** Facts for programs (which port, which state); never secrets. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** The only error class that crosses a room's border. `message` is a whole sentence for people. */
export class BerthError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly fields: readonly FieldError[];
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: BerthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BerthError';
    this.code = code;
    this.hint = options.hint;
    this.fields = options.fields ?? [];
    this.details = options.details;
  }

  get rule(): ErrorRule {
    return ERROR_RULES[this.code];
  }
}

/** What is stored in `status.error` and sent over the wire. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly fields?: readonly FieldError[] | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

export function errorBody(error: unknown): ErrorBody {
  if (!(error instanceof BerthError)) {
    return { code: 'internal', message: 'Something went wrong inside Berth.', hint: 'The daemon log has the cause.' };
  }
  return {
    code: error.code,
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.fields.length === 0 ? {} : { fields: error.fields }),
    ...(error.details === undefined ? {} : { details: error.details }),
  };
}

/** errno → our word, for the doors to Linux. Unlisted errnos are `internal`. */
const BY_ERRNO: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'exhausted', EDQUOT: 'exhausted', EMFILE: 'exhausted', ENFILE: 'exhausted', ENOMEM: 'exhausted',
  ETIMEDOUT: 'timeout', ECONNREFUSED: 'unavailable', EADDRINUSE: 'alreadyExists', EAGAIN: 'exhausted',
};

/** Wraps any thrown value as a BerthError, keeping the cause. `doing` completes “Could not …”. */
export function asBerthError(error: unknown, doing: string): BerthError {
  if (error instanceof BerthError) return error;
  const errno = (error as { code?: unknown } | null)?.code;
  const code = typeof errno === 'string' ? (BY_ERRNO[errno] ?? 'internal') : 'internal';
  const reason = error instanceof Error ? error.message : String(error);
  return new BerthError(code, `Could not ${doing}: ${reason}`, { cause: error });
}
