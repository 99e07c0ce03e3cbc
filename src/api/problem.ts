/** Errors over the wire: RFC 9457 problem+json, mapped once. */
import { STATUS_CODES } from 'node:http';
import { BerthError, errorBody, ERROR_RULES, type ErrorBody } from '../model/errors.ts';

export interface Problem extends ErrorBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly requestId: string;
}

export function problemOf(error: unknown, requestId: string): Problem {
  const told = errorBody(error);
  // A revision that is no longer kept is gone, whatever the store calls it (watch: read the list again).
  const gone = told.details?.['reason'] === 'compacted';
  const body: ErrorBody = gone ? { ...told, code: 'changed' } : told;
  const status = gone ? GONE : ERROR_RULES[body.code].httpStatus;
  return { type: `urn:berth:error:${body.code}`, title: STATUS_CODES[status] ?? body.code, status, detail: body.message, ...body, requestId };
}

const GONE = 410;

/** What the HTTP library found wrong with a request, in our words. */
export function translateHttpError(error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (error instanceof BerthError || typeof code !== 'string') return error;
  const text: Record<string, [ConstructorParameters<typeof BerthError>[0], string]> = {
    FST_ERR_CTP_BODY_TOO_LARGE: ['invalid', 'The body is larger than 1 MiB.'],
    FST_ERR_CTP_INVALID_MEDIA_TYPE: ['invalid', 'The body must be application/json.'],
    FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid', 'The body is not as long as Content-Length says.'],
    FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid', 'The body is empty.'],
    FST_ERR_MAX_PARAM_LENGTH: ['notFound', 'No object has a name that long.'],
    FST_ERR_BAD_URL: ['invalid', 'The address is not well-formed.'],
    FST_ERR_CTP_INVALID_JSON_BODY: ['invalid', 'The body is not JSON.'],
  };
  const known = text[code];
  if (known !== undefined) return new BerthError(known[0], known[1], { cause: error });
  // What the library blames on the request is no bug of ours, whatever its next version calls it.
  const { statusCode } = error as { statusCode?: unknown };
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 ? new BerthError('invalid', 'The request is not acceptable HTTP.', { cause: error }) : error;
}
