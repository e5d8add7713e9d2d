/** The endpoint contract: an endpoint is declared once, and routing, guard, limit and validation are derived from it. */
import type { Readable } from 'node:stream';
import type { ServerName, UserId } from '../core/ids.ts';
import type { Schema, Static } from './schema.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/**
 * Who may ask. `none`: anybody; `optional`: anybody, a token is read where there is one; `user`: a user's token, guests
 * excluded; `user-or-guest`: any token; `admin`: a server admin's token; `server`: a signed federation request.
 */
export type Auth = 'none' | 'optional' | 'user' | 'user-or-guest' | 'admin' | 'server';

/** Who is asking with an access token. */
export type Requester = {
  readonly userId: UserId;
  /** null for a token without a device, as admins can make them. */
  readonly deviceId: string | null;
  /** The number of the access token's row; once-only keys of requests without a device hang on it. */
  readonly tokenId: number;
  readonly isGuest: boolean;
  readonly isAdmin: boolean;
  /** Suspended by an admin: reads, leaves and takes back, and writes nothing new. */
  readonly isSuspended: boolean;
  /** Set where an application service asks. */
  readonly appserviceId: string | null;
};

/**
 * What a handler gets. `user` is null only where the auth is `none` or `server`, or `optional` and no token came;
 * `origin`, the server that signed the request, is null everywhere but where the auth is `server`.
 */
export type Call<P, Q, B, U, O = null> = {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly user: U;
  readonly origin: O;
  readonly request: RequestFacts;
};

/** Facts on the request that are not part of the contract. */
export type RequestFacts = {
  readonly id: string;
  /** The client's address, read through `X-Forwarded-For` only where the listener trusts it. */
  readonly ip: string;
  readonly userAgent: string;
  readonly method: string;
  /** The raw path and query, tokens included: never log it. */
  readonly url: string;
  readonly accessToken: string | null;
  /** Aborted when the client goes away or the server drains: a call that waits answers at once then. */
  readonly signal: AbortSignal;
  /** Whether the client speaks TLS, to us or to a proxy that the listener trusts. */
  readonly isSecure: boolean;
  /** Every query parameter as it came, also those that the endpoint does not declare. */
  readonly rawQuery: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** One header, its name in lower case; null where it is missing. */
  header(name: string): string | null;
  /** All lines of one header: federation requests may carry one `authorization` line for each key. */
  headerLines(name: string): readonly string[];
};

/** An answer whose JSON text is ready: hot endpoints build it from stored pieces. */
export class JsonText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type ReplyHeaders = Readonly<Record<string, string | readonly string[]>>;

/** An answer that is not JSON, or not 200. A stream is destroyed where it is not read to its end. */
export class RawReply {
  readonly status: number;
  readonly headers: ReplyHeaders;
  readonly body: string | Buffer | Readable;
  constructor(status: number, headers: ReplyHeaders, body: string | Buffer | Readable) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

type OriginOf<A extends Auth> = A extends 'server' ? ServerName : null;
type UserOf<A extends Auth> = A extends 'none' | 'server' ? null : A extends 'optional' ? Requester | null : Requester;

export type EndpointDeclaration<
  A extends Auth,
  P extends Schema,
  Q extends Schema,
  B extends Schema,
  R extends Schema,
> = {
  /** The specification's operation ID, or a name of ours. */
  readonly name: string;
  readonly method: Method;
  /** `/_matrix/client/v3/rooms/:roomId/…`. */
  readonly path: string;
  /** Further paths with the same meaning: `r0`, unstable prefixes. */
  readonly alsoAt?: readonly string[];
  readonly auth: A;
  /** The name of a rate limit (`limits.ts`); none where it is left out. */
  readonly rateLimit?: string;
  /** Largest body; the kit's default is 1 MiB. */
  readonly bodyBytesMax?: number;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly reply: R;
  /** A locked account may still call this. */
  readonly allowsLocked?: boolean;
  /** A suspended account may not call this. */
  readonly refusesSuspended?: boolean;
  /** The call may wait for news (a long poll): it takes none of the places that its user has for work. */
  readonly waits?: boolean;
  /** The call shows that its user is there and does something: presence takes note of it. */
  readonly isActivity?: boolean;
  handler(
    call: Call<Static<P>, Static<Q>, Static<B>, UserOf<A>, OriginOf<A>>,
  ): Promise<Static<R> | JsonText | RawReply> | Static<R> | JsonText | RawReply;
};

/** An endpoint with its types forgotten: what the router takes. */
export type Endpoint = {
  readonly name: string;
  readonly method: Method;
  readonly path: string;
  readonly alsoAt: readonly string[];
  readonly auth: Auth;
  readonly rateLimit: string | null;
  readonly bodyBytesMax: number;
  readonly params: Schema | null;
  readonly query: Schema | null;
  readonly body: Schema | null;
  readonly reply: Schema;
  readonly allowsLocked: boolean;
  readonly refusesSuspended: boolean;
  readonly waits: boolean;
  readonly isActivity: boolean;
  readonly handler: (call: Call<unknown, unknown, unknown, Requester | null, ServerName | null>) => unknown;
};

const BODY_BYTES_MAX = 1024 * 1024;

/** Declares an endpoint. */
export function endpoint<
  A extends Auth,
  R extends Schema,
  P extends Schema = Schema,
  Q extends Schema = Schema,
  B extends Schema = Schema,
>(declaration: EndpointDeclaration<A, P, Q, B, R>): Endpoint {
  return {
    name: declaration.name,
    method: declaration.method,
    path: declaration.path,
    alsoAt: declaration.alsoAt ?? [],
    auth: declaration.auth,
    rateLimit: declaration.rateLimit ?? null,
    bodyBytesMax: declaration.bodyBytesMax ?? BODY_BYTES_MAX,
    params: declaration.params ?? null,
    query: declaration.query ?? null,
    body: declaration.body ?? null,
    reply: declaration.reply,
    allowsLocked: declaration.allowsLocked ?? false,
    refusesSuspended: declaration.refusesSuspended ?? false,
    waits: declaration.waits ?? false,
    isActivity: declaration.isActivity ?? false,
    // The router calls a handler only with values that the schemas of this very declaration let through.
    handler: declaration.handler as Endpoint['handler'],
  };
}
