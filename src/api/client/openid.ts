/** Spec module "OpenID": a token by which others are told who somebody is. */
import type { ServerName } from '../../core/ids.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, integer, object, string, userId } from '../../http/schema.ts';
import type { ShortTokens } from '../../services/short-tokens.ts';
import { v3 } from './paths.ts';
import { checkOneself } from './shapes.ts';

const LIFETIME_MS = 3_600_000;

export const openidEndpoints = (services: { shortTokens: ShortTokens; serverName: ServerName }): Endpoint[] => [
  endpoint({
    name: 'requestOpenIdToken',
    method: 'POST',
    ...v3('/user/:userId/openid/request_token'),
    auth: 'user-or-guest',
    params: object({ userId }),
    body: anyObject,
    reply: object({ access_token: string, token_type: string, matrix_server_name: string, expires_in: integer }),
    async handler({ user, params }) {
      checkOneself(params.userId, user, 'A token is made for oneself only.');
      return {
        access_token: await services.shortTokens.make('openid', user.userId, LIFETIME_MS),
        token_type: 'Bearer',
        matrix_server_name: services.serverName as string,
        expires_in: LIFETIME_MS / 1000,
      };
    },
  }),
];
