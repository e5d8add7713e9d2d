/** Spec module "Syncing". */
import { PRESENCE_STATES } from '../../core/presence.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, boolean, integerBetween, object, oneOf, optional, string } from '../../http/schema.ts';
import { deviceScopeOf } from '../../rooms/client-view.ts';
import { parseSyncPlace } from '../../rooms/sync-token.ts';
import type { Filters } from '../../services/filters.ts';
import type { Sync } from '../../sync/sync.ts';
import { v3 } from './paths.ts';

export const syncEndpoints = ({ filters, sync }: { filters: Filters; sync: Sync }): Endpoint[] => [
  endpoint({
    name: 'sync',
    method: 'GET',
    ...v3('/sync'),
    auth: 'user-or-guest',
    waits: true,
    query: object({
      filter: optional(string),
      since: optional(string),
      full_state: optional(boolean),
      set_presence: optional(oneOf(...PRESENCE_STATES)),
      timeout: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)),
      use_state_after: optional(boolean),
      // The name before the specification took it up; the JavaScript SDK still sends it.
      'org.matrix.msc4222.use_state_after': optional(boolean),
    }),
    reply: anyObject,
    async handler({ user, query, request }) {
      const place = query.since === undefined || query.since === '' ? null : parseSyncPlace(query.since);
      return sync.sync({
        reader: { userId: user.userId, deviceScope: deviceScopeOf(user) },
        filter: await filters.ofParameter(user.userId, query.filter),
        deviceId: user.deviceId,
        since: place?.position ?? null,
        toDeviceSince: place?.toDevice ?? 0,
        timeoutMs: query.timeout ?? 0,
        wantsFullState: query.full_state ?? false,
        stateAfter: query.use_state_after
          ? 'state_after'
          : query['org.matrix.msc4222.use_state_after']
            ? 'org.matrix.msc4222.state_after'
            : null,
        signal: request.signal,
        presence: query.set_presence ?? null,
      });
    },
  }),
];
