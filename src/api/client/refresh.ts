/** Spec module "Refresh": a new access token for a refresh token. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { integer, object, optional, string } from '../../http/schema.ts';
import type { AccessTokens } from '../../services/access-tokens.ts';

export const refreshEndpoints = ({ accessTokens }: { accessTokens: AccessTokens }): Endpoint[] => [
  endpoint({
    name: 'refresh',
    method: 'POST',
    path: '/_matrix/client/v3/refresh',
    auth: 'none',
    body: object({ refresh_token: string }),
    reply: object({ access_token: string, refresh_token: optional(string), expires_in_ms: optional(integer) }),
    async handler({ body }) {
      const { token, refreshToken, expiresInMs } = await accessTokens.refresh(body.refresh_token);
      return {
        access_token: token,
        ...(refreshToken === null ? {} : { refresh_token: refreshToken }),
        ...(expiresInMs === null ? {} : { expires_in_ms: expiresInMs }),
      };
    },
  }),
];
