/** Refusals: an error code of the specification, an HTTP status and a sentence that says what is wrong. */

export type MatrixErrorFields = Readonly<Record<string, unknown>>;

/** A refusal that a client or another server gets to read. Turned into JSON in one place, `http/reply-error.ts`. */
export class MatrixError extends Error {
  readonly status: number;
  readonly errcode: string;
  /** Further top-level fields of the answer, such as `retry_after_ms`, `soft_logout`, `room_version`. */
  readonly fields: MatrixErrorFields;

  constructor(status: number, errcode: string, message: string, fields: MatrixErrorFields = {}) {
    super(message);
    this.name = 'MatrixError';
    this.status = status;
    this.errcode = errcode;
    this.fields = fields;
  }

  toJSON(): Record<string, unknown> {
    return { errcode: this.errcode, error: this.message, ...this.fields };
  }
}

/** 403 M_FORBIDDEN. */
export const forbidden = (message: string): MatrixError => new MatrixError(403, 'M_FORBIDDEN', message);
/** 404 M_NOT_FOUND. */
export const notFound = (message: string): MatrixError => new MatrixError(404, 'M_NOT_FOUND', message);
/** 400 M_BAD_JSON: JSON, but not of the asked shape. */
export const badJson = (message: string): MatrixError => new MatrixError(400, 'M_BAD_JSON', message);
/** 400 M_NOT_JSON: no JSON at all. */
export const notJson = (message: string): MatrixError => new MatrixError(400, 'M_NOT_JSON', message);
/** 400 M_INVALID_PARAM. */
export const invalidParam = (message: string): MatrixError => new MatrixError(400, 'M_INVALID_PARAM', message);
/** 400 M_MISSING_PARAM. */
export const missingParam = (message: string): MatrixError => new MatrixError(400, 'M_MISSING_PARAM', message);
/** 413 M_TOO_LARGE. */
export const tooLarge = (message: string): MatrixError => new MatrixError(413, 'M_TOO_LARGE', message);
/** 404 or 405 M_UNRECOGNIZED. */
export const unrecognized = (message: string, status: 404 | 405 = 404): MatrixError =>
  new MatrixError(status, 'M_UNRECOGNIZED', message);
/** 401 M_UNKNOWN_TOKEN; `softLogout` true when the device is still there and may be logged in again. */
export const unknownToken = (message: string, softLogout = false): MatrixError =>
  new MatrixError(401, 'M_UNKNOWN_TOKEN', message, softLogout ? { soft_logout: true } : {});
/** 401 M_USER_LOCKED: the account may be unlocked again, so that devices keep what they hold. */
export const userLocked = (): MatrixError =>
  new MatrixError(401, 'M_USER_LOCKED', 'This account is locked.', { soft_logout: true });
/** 403 M_USER_SUSPENDED. */
export const userSuspended = (): MatrixError =>
  new MatrixError(403, 'M_USER_SUSPENDED', 'This account is suspended: it may read and leave, and write nothing.');
/** 401 M_MISSING_TOKEN. */
export const missingToken = (): MatrixError => new MatrixError(401, 'M_MISSING_TOKEN', 'An access token is needed.');
/** 429 M_LIMIT_EXCEEDED; the HTTP layer adds `Retry-After` in whole seconds from `retry_after_ms`. */
export const limitExceeded = (retryAfterMs: number): MatrixError =>
  new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many requests. Try again later.', { retry_after_ms: retryAfterMs });
/** 403 M_USER_LIMIT_EXCEEDED: an account holds as much of something as it may. `infoUri` is where its user can ask about it. */
export const userLimitExceeded = (message: string, infoUri: string): MatrixError =>
  new MatrixError(403, 'M_USER_LIMIT_EXCEEDED', message, { info_uri: infoUri, can_upgrade: false });
/** 400 with a code of its own. */
export const badRequest = (errcode: string, message: string): MatrixError => new MatrixError(400, errcode, message);
