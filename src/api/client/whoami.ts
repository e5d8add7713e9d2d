/** Spec module "Who am I": whose token this is. */
import { endpoint } from '../../http/endpoint.ts';
import { boolean, object, optional, string } from '../../http/schema.ts';

export const whoamiEndpoints = () => [
  endpoint({
    name: 'getTokenOwner',
    method: 'GET',
    path: '/_matrix/client/v3/account/whoami',
    auth: 'user-or-guest',
    reply: object({ user_id: string, device_id: optional(string), is_guest: boolean }),
    handler: ({ user }) => ({
      user_id: user.userId as string,
      is_guest: user.isGuest,
      ...(user.deviceId === null ? {} : { device_id: user.deviceId }),
    }),
  }),
];
