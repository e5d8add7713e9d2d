/** Spec module "Device management". */
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, array, empty, integer, object, optional, orNull, string } from '../../http/schema.ts';
import type { Devices } from '../../services/devices.ts';
import type { UserInteractiveAuth } from '../../services/user-interactive-auth.ts';

const FLOWS = [['m.login.password']];
const DEVICES_AT_ONCE_MAX = 10_000;

const device = object({
  user_id: string,
  device_id: string,
  display_name: optional(string),
  last_seen_ip: optional(string),
  last_seen_ts: optional(integer),
});

const onePath = {
  path: '/_matrix/client/v3/devices/:deviceId',
  params: object({ deviceId: string }),
};

/** A device as its owner sees it; what is not known is left out. */
function wireDevice(row: Awaited<ReturnType<Devices['get']>>) {
  return {
    user_id: row.userId as string,
    device_id: row.deviceId,
    ...(row.displayName === null ? {} : { display_name: row.displayName }),
    ...(row.lastSeenIp === null ? {} : { last_seen_ip: row.lastSeenIp }),
    ...(row.lastSeenMs === null ? {} : { last_seen_ts: row.lastSeenMs }),
  };
}

export const deviceManagementEndpoints = ({
  devices,
  userInteractiveAuth,
}: {
  devices: Devices;
  userInteractiveAuth: UserInteractiveAuth;
}) => [
  endpoint({
    name: 'getDevices',
    method: 'GET',
    path: '/_matrix/client/v3/devices',
    auth: 'user-or-guest',
    reply: object({ devices: array(device) }),
    handler: async ({ user }) => ({ devices: (await devices.list(user.userId)).map(wireDevice) }),
  }),
  endpoint({
    name: 'getDevice',
    method: 'GET',
    ...onePath,
    auth: 'user-or-guest',
    reply: device,
    handler: async ({ user, params }) => wireDevice(await devices.get(user.userId, params.deviceId)),
  }),
  endpoint({
    name: 'updateDevice',
    method: 'PUT',
    ...onePath,
    auth: 'user-or-guest',
    body: object({ display_name: optional(orNull(string)) }),
    reply: empty,
    async handler({ user, params, body }) {
      const { display_name: displayName } = body;
      if (typeof displayName === 'string') await devices.rename(user.userId, params.deviceId, displayName);
      else await devices.get(user.userId, params.deviceId);
      return {};
    },
  }),
  endpoint({
    name: 'deleteDevice',
    method: 'DELETE',
    ...onePath,
    auth: 'user',
    body: object({ auth: optional(orNull(anyObject)) }),
    reply: empty,
    async handler({ user, params, body, request }) {
      const challenge = await userInteractiveAuth.check(request, user, body, FLOWS);
      if (challenge !== null) return challenge;
      await devices.delete(user.userId, [params.deviceId]);
      return {};
    },
  }),
  endpoint({
    name: 'deleteDevices',
    method: 'POST',
    path: '/_matrix/client/v3/delete_devices',
    auth: 'user',
    body: object({ auth: optional(orNull(anyObject)), devices: array(string, { maxItems: DEVICES_AT_ONCE_MAX }) }),
    reply: empty,
    async handler({ user, body, request }) {
      const challenge = await userInteractiveAuth.check(request, user, body, FLOWS);
      if (challenge !== null) return challenge;
      await devices.delete(user.userId, body.devices);
      return {};
    },
  }),
];
