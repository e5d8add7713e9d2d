/** Spec module "End-to-end encryption": keys of devices. */
import { endpoint } from '../../http/endpoint.ts';
import { anyJson, anyObject, array, integer, object, optional, orNull, record, string } from '../../http/schema.ts';
import { parseSyncToken } from '../../rooms/sync-token.ts';
import type { DeviceKeys } from '../../services/device-keys.ts';
import type { KeyClaims } from '../../services/key-claims.ts';
import type { KeyQueries } from '../../services/key-queries.ts';
import { boundedTimeout } from '../../services/key-servers.ts';
import type { KeyChanges } from '../../sync/key-changes.ts';
import { v3 } from './paths.ts';

const keysByDevice = record(record(anyObject));

export const keysEndpoints = ({
  deviceKeys,
  keyClaims,
  keyQueries,
  keyChanges,
}: {
  deviceKeys: DeviceKeys;
  keyClaims: KeyClaims;
  keyQueries: KeyQueries;
  keyChanges: KeyChanges;
}) => [
  endpoint({
    name: 'uploadKeys',
    method: 'POST',
    // Clients of before r0.3 name their device once more.
    ...v3('/keys/upload', '/keys/upload/:deviceId'),
    auth: 'user-or-guest',
    body: object({
      device_keys: optional(orNull(anyObject)),
      one_time_keys: optional(orNull(record(anyJson))),
      fallback_keys: optional(orNull(record(anyJson))),
    }),
    reply: object({ one_time_key_counts: record(integer) }),
    async handler({ user, body }) {
      const counts = await deviceKeys.upload(user.userId, user.deviceId, {
        deviceKeys: body.device_keys ?? null,
        oneTimeKeys: body.one_time_keys ?? {},
        fallbackKeys: body.fallback_keys ?? {},
      });
      return { one_time_key_counts: counts };
    },
  }),
  endpoint({
    name: 'queryKeys',
    method: 'POST',
    ...v3('/keys/query'),
    auth: 'user-or-guest',
    body: object({ device_keys: record(array(string)), timeout: optional(integer), token: optional(anyJson) }),
    reply: object({
      device_keys: keysByDevice,
      failures: record(anyObject),
      master_keys: record(anyObject),
      self_signing_keys: record(anyObject),
      user_signing_keys: record(anyObject),
    }),
    async handler({ user, body }) {
      const found = await keyQueries.query(user.userId, body.device_keys, boundedTimeout(body.timeout));
      return {
        device_keys: found.deviceKeys,
        failures: found.failures,
        master_keys: found.masterKeys,
        self_signing_keys: found.selfSigningKeys,
        user_signing_keys: found.userSigningKeys,
      };
    },
  }),
  endpoint({
    name: 'claimKeys',
    method: 'POST',
    ...v3('/keys/claim'),
    auth: 'user-or-guest',
    body: object({ one_time_keys: record(record(string)), timeout: optional(integer) }),
    reply: object({ one_time_keys: keysByDevice, failures: record(anyObject) }),
    async handler({ body }) {
      const { keys, failures } = await keyClaims.claim(body.one_time_keys, boundedTimeout(body.timeout));
      return { one_time_keys: keys, failures };
    },
  }),
  endpoint({
    name: 'getKeysChanges',
    method: 'GET',
    ...v3('/keys/changes'),
    auth: 'user-or-guest',
    query: object({ from: string, to: string }),
    reply: object({ changed: array(string), left: array(string) }),
    async handler({ user, query }) {
      const { changed, left } = await keyChanges.between(
        user.userId,
        parseSyncToken(query.from, 'from'),
        parseSyncToken(query.to, 'to'),
      );
      return { changed: [...changed], left: [...left] };
    },
  }),
];
