/** Server-server module "Backfill": the history that another server has. */
import { anyObject, array, eventId, integer, object, optional, roomId, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';
import { MISSING_EVENTS_MAX, pdus } from './shapes.ts';

export const backfillRoom = operation({
  name: 'backfillRoom',
  method: 'GET',
  path: '/_matrix/federation/v1/backfill/:roomId',
  params: object({ roomId }),
  query: object({ v: array(eventId, { maxItems: MISSING_EVENTS_MAX }), limit: integer }),
  reply: object({ origin: optional(string), origin_server_ts: optional(integer), pdus }),
});

export const getMissingPreviousEvents = operation({
  name: 'getMissingPreviousEvents',
  method: 'POST',
  path: '/_matrix/federation/v1/get_missing_events/:roomId',
  params: object({ roomId }),
  body: object({
    earliest_events: array(eventId, { maxItems: MISSING_EVENTS_MAX }),
    latest_events: array(eventId, { maxItems: MISSING_EVENTS_MAX }),
    limit: optional(integer),
    min_depth: optional(integer),
  }),
  reply: object({ events: array(anyObject) }),
});
