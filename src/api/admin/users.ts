/** Accounts, for admins, in Synapse's words. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, boolean, object, userId } from '../../http/schema.ts';
import type { AccountStanding } from '../../services/account-standing.ts';
import { wireWhois } from '../client/admin.ts';

export const adminUserEndpoints = ({ accountStanding }: { accountStanding: AccountStanding }): Endpoint[] => [
  endpoint({
    name: 'suspendUser',
    method: 'PUT',
    path: '/_synapse/admin/v1/suspend/:userId',
    auth: 'admin',
    params: object({ userId }),
    body: object({ suspend: boolean }),
    reply: anyObject,
    async handler({ user, params, body }) {
      await accountStanding.setSuspended(user.userId, params.userId, body.suspend);
      return { [`user_${params.userId}_suspended`]: body.suspend };
    },
  }),
  endpoint({
    name: 'whoisUser',
    method: 'GET',
    path: '/_synapse/admin/v1/whois/:userId',
    auth: 'admin',
    params: object({ userId }),
    reply: anyObject,
    handler: ({ user, params }) => wireWhois(accountStanding, user, params.userId),
  }),
];
