/** Spec module "OpenID": who somebody is that shows a token of one of our users. Anybody may ask. */
import { MatrixError } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { object, string } from '../../http/schema.ts';
import type { ShortTokens } from '../../services/short-tokens.ts';

export const openidUserinfoEndpoints = ({ shortTokens }: { shortTokens: ShortTokens }): Endpoint[] => [
  endpoint({
    name: 'exchangeOpenIdToken',
    method: 'GET',
    path: '/_matrix/federation/v1/openid/userinfo',
    auth: 'none',
    query: object({ access_token: string }),
    reply: object({ sub: string }),
    async handler({ query }) {
      const owner = await shortTokens.ownerOf('openid', query.access_token);
      if (owner === null) throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'The token is not known, or has expired.');
      return { sub: owner as string };
    },
  }),
];
