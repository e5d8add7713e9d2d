/** What goes wrong between us and another machine, told apart by what the caller can do about it. */
import { MatrixError } from '../core/errors.ts';
import type { JsonObject } from '../core/json-value.ts';

/**
 * `blocked`: our rules forbid the address or the server; `unreachable`: no connection, or it broke or timed out;
 * `refused`: the other side answered with an error; `bad-reply`: what it answered makes no sense or is too large;
 * `backing-off`: it did not answer lately, so it was not asked.
 */
export type RemoteFault = 'blocked' | 'unreachable' | 'refused' | 'bad-reply' | 'backing-off';

export type RemoteErrorFacts = {
  /** The HTTP status of a refusal. */
  readonly remoteStatus?: number;
  /** The body of a refusal, where it is a JSON object. */
  readonly remoteBody?: JsonObject;
  /** How long the other side asks us to wait, or until we try again. */
  readonly retryAfterMs?: number;
  /** No connection came about, so nothing was asked: another place of the same server may be. */
  readonly isUnsent?: boolean;
  readonly cause?: unknown;
};

/**
 * A request to another machine that failed. Where nobody catches it, whoever asked us is told 502, and 403 where our
 * own rules forbid the request.
 */
export class RemoteError extends MatrixError {
  readonly fault: RemoteFault;
  readonly remoteStatus: number | null;
  readonly remoteBody: JsonObject | null;
  readonly retryAfterMs: number | null;
  readonly isUnsent: boolean;

  constructor(fault: RemoteFault, message: string, facts: RemoteErrorFacts = {}) {
    super(fault === 'blocked' ? 403 : 502, fault === 'blocked' ? 'M_FORBIDDEN' : 'M_UNKNOWN', message);
    this.name = 'RemoteError';
    this.fault = fault;
    this.remoteStatus = facts.remoteStatus ?? null;
    this.remoteBody = facts.remoteBody ?? null;
    this.retryAfterMs = facts.retryAfterMs ?? null;
    this.isUnsent = facts.isUnsent ?? false;
    if (facts.cause !== undefined) this.cause = facts.cause;
  }

  /** The error code of a refusal; null where there is none. */
  get remoteErrcode(): string | null {
    const errcode = this.remoteBody?.['errcode'];
    return typeof errcode === 'string' ? errcode : null;
  }

  /**
   * The refusal of the other side as ours, for calls that only pass its word on; itself where the other side gave no
   * word that a client could act on, and where that would say something of the client's session with us.
   */
  passedOn(): MatrixError {
    const errcode = this.remoteErrcode;
    if (errcode === null || this.remoteStatus === null || this.remoteStatus < 400 || this.remoteStatus > 499)
      return this;
    if (this.remoteStatus === 401 || OF_SESSIONS.has(errcode)) return this;
    const sentence = this.remoteBody?.['error'];
    return new MatrixError(this.remoteStatus, errcode, typeof sentence === 'string' ? sentence : this.message);
  }
}

/** By these a client is logged out, or told to do something about its account. */
const OF_SESSIONS: ReadonlySet<string> = new Set([
  'M_UNKNOWN_TOKEN',
  'M_MISSING_TOKEN',
  'M_USER_LOCKED',
  'M_USER_SUSPENDED',
  'M_USER_DEACTIVATED',
  'M_GUEST_ACCESS_FORBIDDEN',
  'M_CONSENT_NOT_GIVEN',
]);

/** A short reason out of whatever a socket or a library threw. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // OpenSSL tells the place in its own source too, over two lines.
  const [, words] = /:SSL routines:[^:]*:([^:]+):/.exec(error.message) ?? [];
  if (words !== undefined) return `TLS: ${words}`;
  if ('code' in error && typeof error.code === 'string' && !error.message.includes(error.code)) {
    return error.message === '' ? error.code : `${error.message} (${error.code})`;
  }
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error.message;
}
