/** problem+json (RFC 9457) → BerthError. What the daemon says is checked like anything from outside. */
import { BerthError, ERROR_RULES, type ErrorCode, type FieldError } from '../model/errors.ts';

export function problemError(value: unknown, status = 500): BerthError {
  const problem = isObject(value) ? value : {};
  const code = errorCode(problem['code'], status);
  const message = text(problem['detail']) ?? text(problem['message']) ?? text(problem['title']) ?? `The daemon answered ${status}.`;
  const requestId = text(problem['requestId']);
  const hint = text(problem['hint']) ?? (code === 'internal' && requestId !== undefined ? `The daemon's log has the cause under ${requestId}.` : undefined);
  const details = isObject(problem['details']) ? problem['details'] : undefined;
  return new BerthError(code, message, { hint, fields: fieldErrors(problem['fields']), details });
}

function errorCode(code: unknown, status: number): ErrorCode {
  if (typeof code === 'string' && Object.hasOwn(ERROR_RULES, code)) return code as ErrorCode;
  const known = Object.entries(ERROR_RULES).find(([, rule]) => rule.httpStatus === status);
  return (known?.[0] ?? (status >= 400 && status < 500 ? 'invalid' : 'internal')) as ErrorCode;
}

function fieldErrors(fields: unknown): readonly FieldError[] {
  if (!Array.isArray(fields)) return [];
  return fields.filter(isObject).map((field) => ({ path: text(field['path']) ?? '', message: text(field['message']) ?? '' }));
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
