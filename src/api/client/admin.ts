/** Spec module "Server administration". */
import { forbidden } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import { type Endpoint, endpoint, type Requester } from '../../http/endpoint.ts';
import { anyObject, boolean, object, userId } from '../../http/schema.ts';
import type { AccountStanding } from '../../services/account-standing.ts';
import { v3 } from './paths.ts';

const lockPath = '/_matrix/client/v1/admin/lock/:userId';
const suspendPath = '/_matrix/client/v1/admin/suspend/:userId';

/** The answer to `whois`, in the specification's words and Synapse's alike. */
export async function wireWhois(accountStanding: AccountStanding, asking: Requester, target: UserId) {
  if (!asking.isAdmin && asking.userId !== target) throw forbidden('Only server admins may look at other users.');
  const devices = await accountStanding.whois(target);
  const sessions = devices.map((device) => {
    const { lastSeenIp, lastSeenMs, lastSeenUserAgent } = device;
    const connections =
      lastSeenMs === null ? [] : [{ ip: lastSeenIp, last_seen: lastSeenMs, user_agent: lastSeenUserAgent }];
    return [device.deviceId, { sessions: [{ connections }] }] as const;
  });
  return { user_id: target as string, devices: Object.fromEntries(sessions) };
}

export const adminAccountEndpoints = ({ accountStanding }: { accountStanding: AccountStanding }): Endpoint[] => [
  endpoint({
    name: 'getAdminLockUser',
    method: 'GET',
    path: lockPath,
    auth: 'admin',
    params: object({ userId }),
    reply: object({ locked: boolean }),
    handler: async ({ params }) => ({ locked: (await accountStanding.get(params.userId)).isLocked }),
  }),
  endpoint({
    name: 'setAdminLockUser',
    method: 'PUT',
    path: lockPath,
    auth: 'admin',
    params: object({ userId }),
    body: object({ locked: boolean }),
    reply: object({ locked: boolean }),
    async handler({ user, params, body }) {
      await accountStanding.setLocked(user.userId, params.userId, body.locked);
      return { locked: body.locked };
    },
  }),
  endpoint({
    name: 'getAdminSuspendUser',
    method: 'GET',
    path: suspendPath,
    auth: 'admin',
    params: object({ userId }),
    reply: object({ suspended: boolean }),
    handler: async ({ params }) => ({ suspended: (await accountStanding.get(params.userId)).isSuspended }),
  }),
  endpoint({
    name: 'setAdminSuspendUser',
    method: 'PUT',
    path: suspendPath,
    auth: 'admin',
    params: object({ userId }),
    body: object({ suspended: boolean }),
    reply: object({ suspended: boolean }),
    async handler({ user, params, body }) {
      await accountStanding.setSuspended(user.userId, params.userId, body.suspended);
      return { suspended: body.suspended };
    },
  }),
  endpoint({
    name: 'getWhoIs',
    method: 'GET',
    ...v3('/admin/whois/:userId'),
    auth: 'user',
    params: object({ userId }),
    reply: anyObject,
    handler: ({ user, params }) => wireWhois(accountStanding, user, params.userId),
  }),
];
