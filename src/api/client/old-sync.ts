/** Spec modules "Syncing, deprecated" and "Peeking": how clients kept up before `/sync`, and how guests look into a room. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, boolean, eventId, integerBetween, object, optional, roomId, string } from '../../http/schema.ts';
import { parseSyncToken } from '../../rooms/sync-token.ts';
import type { OldSync } from '../../sync/old-sync.ts';
import { v3 } from './paths.ts';
import { viewReaderOf } from './rooms.ts';

const TIMEOUT_MS_DEFAULT = 30_000;

export const oldSyncEndpoints = ({ oldSync }: { oldSync: OldSync }): Endpoint[] => [
  endpoint({
    name: 'initialSync',
    method: 'GET',
    ...v3('/initialSync'),
    auth: 'user-or-guest',
    query: object({ limit: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)), archived: optional(boolean) }),
    reply: anyObject,
    handler: ({ user, query }) =>
      oldSync.initialSync({
        reader: viewReaderOf(user),
        limit: query.limit ?? null,
        includesLeft: query.archived ?? false,
      }),
  }),
  endpoint({
    // Also what the module of peeking calls peekEvents: with a room, its events alone.
    name: 'getEvents',
    method: 'GET',
    ...v3('/events'),
    auth: 'user-or-guest',
    waits: true,
    query: object({
      from: optional(string),
      timeout: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)),
      room_id: optional(roomId),
    }),
    reply: anyObject,
    handler: ({ user, query, request }) =>
      oldSync.events({
        reader: viewReaderOf(user),
        from: query.from === undefined || query.from === '' ? null : parseSyncToken(query.from, 'from'),
        roomId: query.room_id ?? null,
        timeoutMs: query.timeout ?? TIMEOUT_MS_DEFAULT,
        signal: request.signal,
      }),
  }),
  endpoint({
    name: 'getOneEvent',
    method: 'GET',
    ...v3('/events/:eventId'),
    auth: 'user-or-guest',
    params: object({ eventId }),
    reply: anyObject,
    handler: ({ user, params }) => oldSync.event(viewReaderOf(user), params.eventId),
  }),
];
