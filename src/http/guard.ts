/** Who is asking: what the router needs from the services that know. */
import { MatrixError, missingToken } from '../core/errors.ts';
import type { ServerName } from '../core/ids.ts';
import type { Auth, Requester, RequestFacts } from './endpoint.ts';

export interface Guard {
  /**
   * Whose token this is. Throws 401 M_UNKNOWN_TOKEN, or 401 M_USER_LOCKED for a locked account where the endpoint does
   * not say that it allows those.
   */
  identify(
    token: string,
    facts: RequestFacts,
    endpoint: { readonly name: string; readonly allowsLocked: boolean },
  ): Promise<Requester> | Requester;
}

export interface ServerGuard {
  /** Which server signed the request; `body` is undefined where there is none. Throws 401 M_UNAUTHORIZED or 403. */
  verify(facts: RequestFacts, body: unknown): Promise<ServerName>;
}

/**
 * The token of a request, from the header or, where that is allowed, the query. An empty token is none.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
export function accessTokenOf(authorization: string | undefined, fromQuery: () => string | null): string | null {
  if (authorization !== undefined) {
    const [, token] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
    if (token !== undefined) return token;
    if (/^bearer *$/i.test(authorization)) return null;
  }
  const token = fromQuery();
  return token === '' ? null : token;
}

/** Refuses a requester whom an endpoint is not for. */
export function checkRequester(auth: Auth, requester: Requester | null): void {
  if (auth === 'none' || auth === 'optional' || auth === 'server') return;
  if (requester === null) throw missingToken();
  if (requester.isGuest && auth !== 'user-or-guest') {
    throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do this.');
  }
  if (auth === 'admin' && !requester.isAdmin) {
    throw new MatrixError(403, 'M_FORBIDDEN', 'Only server admins may do this.');
  }
}
