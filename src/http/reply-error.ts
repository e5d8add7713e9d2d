/** The one place where refusals and bugs become answers. Spec v1.19: client-server API, "Standard error response". */
import { MatrixError } from '../core/errors.ts';
import { redact } from '../kit/redact.ts';

export type ErrorReply = {
  readonly status: number;
  readonly text: string;
  readonly retryAfterSeconds: number | null;
  /** What to write to the log: set for bugs only, never for refusals. */
  readonly fault: { readonly message: string; readonly stack: string } | null;
};

/** What to answer for anything that was thrown. Whatever is no `MatrixError` is a bug of ours: no detail leaves the server. */
export function replyForError(thrown: unknown): ErrorReply {
  if (thrown instanceof MatrixError) {
    const retryAfterMs = thrown.fields['retry_after_ms'];
    return {
      status: thrown.status,
      // No sentence of ours holds a token, but one may quote what came in.
      text: JSON.stringify({ ...thrown.toJSON(), error: redact(thrown.message) }),
      retryAfterSeconds: typeof retryAfterMs === 'number' ? Math.ceil(retryAfterMs / 1000) : null,
      fault: null,
    };
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return {
    status: 500,
    text: '{"errcode":"M_UNKNOWN","error":"Internal server error."}',
    retryAfterSeconds: null,
    fault: { message: redact(error.message), stack: redact(stackOf(error)) },
  };
}

function stackOf(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by ${error.cause.stack ?? error.cause.message}` : stack;
}
