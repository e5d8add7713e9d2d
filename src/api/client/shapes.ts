/** Shapes on the wire that several modules share. */
import { forbidden } from '../../core/errors.ts';
import { parseServerName, type ServerName, type UserId } from '../../core/ids.ts';
import type { Requester } from '../../http/endpoint.ts';
import { array, boolean, integer, object, optional, orNull, type Static, string } from '../../http/schema.ts';
import type { DeviceWish, Session } from '../../services/devices.ts';

/** What a client says of the device that it logs in on. */
export const deviceWishFields = {
  device_id: optional(orNull(string)),
  initial_device_display_name: optional(orNull(string)),
  refresh_token: optional(boolean),
};

export function deviceWishOf(body: {
  device_id?: string | null;
  initial_device_display_name?: string | null;
  refresh_token?: boolean;
}): DeviceWish {
  return {
    deviceId: body.device_id ?? null,
    displayName: body.initial_device_display_name ?? null,
    wantsRefresh: body.refresh_token ?? false,
  };
}

/** What follows the user ID where somebody was logged in. */
export const sessionFields = {
  access_token: optional(string),
  device_id: optional(string),
  refresh_token: optional(string),
  expires_in_ms: optional(integer),
};

export function wireSession({ userId, deviceId, accessToken, refreshToken, expiresInMs }: Session) {
  return {
    user_id: userId as string,
    access_token: accessToken,
    device_id: deviceId,
    ...(refreshToken === null ? {} : { refresh_token: refreshToken }),
    ...(expiresInMs === null ? {} : { expires_in_ms: expiresInMs }),
  };
}

/** Refuses with 403 M_FORBIDDEN where a path names another user than who is asking. */
export function checkOneself(userId: UserId, asking: Requester, refusal: string): void {
  if (userId !== asking.userId) throw forbidden(refusal);
}

/** Servers beside a room by which one gets there. `server_name` is what `via` was called before v1.12. */
export const viaQuery = object({ via: optional(array(string)), server_name: optional(array(string)) });

/** The names that are some. They come out of links that others wrote: one that is none does not spoil the rest. */
export function viaOf(query: Static<typeof viaQuery>): ServerName[] {
  return [...(query.via ?? []), ...(query.server_name ?? [])].flatMap((name) => parseServerName(name) ?? []);
}
