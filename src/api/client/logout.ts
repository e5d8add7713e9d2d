/** Spec module "Logout". */
import { endpoint } from '../../http/endpoint.ts';
import { empty } from '../../http/schema.ts';
import type { AccessTokens } from '../../services/access-tokens.ts';
import type { Devices } from '../../services/devices.ts';

export const logoutEndpoints = ({ accessTokens, devices }: { accessTokens: AccessTokens; devices: Devices }) => [
  endpoint({
    name: 'logout',
    method: 'POST',
    path: '/_matrix/client/v3/logout',
    auth: 'user-or-guest',
    allowsLocked: true,
    reply: empty,
    async handler({ user }) {
      if (user.deviceId === null) await accessTokens.revoke(user.userId, user.tokenId);
      else await devices.delete(user.userId, [user.deviceId]);
      return {};
    },
  }),
  endpoint({
    name: 'logout_all',
    method: 'POST',
    path: '/_matrix/client/v3/logout/all',
    auth: 'user-or-guest',
    allowsLocked: true,
    reply: empty,
    async handler({ user }) {
      await devices.deleteAll(user.userId);
      return {};
    },
  }),
];
