/** An operation of an API that we both answer to and call: declared once, for the endpoint and for the caller. */
import type { Method } from '../http/endpoint.ts';
import type { Schema, Static } from '../http/schema.ts';

/**
 * How a caller gets the reply: `json` whole; `streamed` as JSON whose long lists come item by item; `raw` as the bytes
 * that they are.
 */
export type ReplyKind = 'json' | 'streamed' | 'raw';

export type Operation<
  P extends Schema = Schema,
  Q extends Schema = Schema,
  B extends Schema = Schema,
  R extends Schema = Schema,
  K extends ReplyKind = ReplyKind,
  A extends 'server' | 'none' = 'server' | 'none',
> = {
  /** The specification's operation ID. */
  readonly name: string;
  readonly method: Method;
  /** `/_matrix/federation/v1/event/:eventId`. */
  readonly path: string;
  /** `server`: the request is signed. */
  readonly auth: A;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly reply: R;
  readonly replyKind: K;
  /** Largest reply that a caller reads. */
  readonly replyBytesMax: number;
  /** Lists of a `streamed` reply that come item by item. */
  readonly lists: readonly string[];
};

const REPLY_BYTES_MAX = 16 * 1024 * 1024;

/** Declares an operation: a signed one with a reply in JSON of at most 16 MiB, unless told otherwise. */
export function operation<
  R extends Schema,
  P extends Schema = Schema,
  Q extends Schema = Schema,
  B extends Schema = Schema,
  K extends ReplyKind = 'json',
  A extends 'server' | 'none' = 'server',
>(declaration: {
  readonly name: string;
  readonly method: Method;
  readonly path: string;
  readonly auth?: A;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly reply: R;
  readonly replyKind?: K;
  readonly replyBytesMax?: number;
  readonly lists?: readonly string[];
}): Operation<P, Q, B, R, K, A> {
  const { name, method, path, params, query, body, reply } = declaration;
  // What is left out is undefined here too, and its schema type says `unknown`: callers and endpoints then take none.
  const shape = { params, query, body } as { params: P; query: Q; body: B };
  return {
    name,
    method,
    path,
    auth: declaration.auth ?? ('server' as A),
    ...shape,
    reply,
    replyKind: declaration.replyKind ?? ('json' as K),
    replyBytesMax: declaration.replyBytesMax ?? REPLY_BYTES_MAX,
    lists: declaration.lists ?? [],
  };
}

type Part<N extends string, S extends Schema> = unknown extends Static<S> ? object : { readonly [K in N]: Static<S> };

/** What a caller hands over: those of `params`, `query` and `body` that the operation has. */
export type InputOf<O extends Operation> = Part<'params', O['params']> &
  Part<'query', O['query']> &
  Part<'body', O['body']>;

/** What the reply says, read and checked. */
export type ReplyOf<O extends Operation> = Static<O['reply']>;
