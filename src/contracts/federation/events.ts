/** Server-server module "Retrieving events": single events, and the state of a room at an event. */
import { array, eventId, integer, object, oneOf, optional, roomId, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';
import { pdus, STATE_BYTES_MAX } from './shapes.ts';

const STATE_IDS_BYTES_MAX = 64 * 1024 * 1024;

export const getEvent = operation({
  name: 'getEvent',
  method: 'GET',
  path: '/_matrix/federation/v1/event/:eventId',
  params: object({ eventId }),
  reply: object({ origin: optional(string), origin_server_ts: optional(integer), pdus }),
});

export const getRoomState = operation({
  name: 'getRoomState',
  method: 'GET',
  path: '/_matrix/federation/v1/state/:roomId',
  params: object({ roomId }),
  query: object({ event_id: eventId }),
  reply: object({ auth_chain: pdus, pdus }),
  replyKind: 'streamed',
  lists: ['pdus', 'auth_chain'],
  replyBytesMax: STATE_BYTES_MAX,
});

export const getRoomStateIds = operation({
  name: 'getRoomStateIds',
  method: 'GET',
  path: '/_matrix/federation/v1/state_ids/:roomId',
  params: object({ roomId }),
  query: object({ event_id: eventId }),
  reply: object({ auth_chain_ids: array(eventId), pdu_ids: array(eventId) }),
  replyBytesMax: STATE_IDS_BYTES_MAX,
});

export const getEventByTimestamp = operation({
  name: 'getEventByTimestamp',
  method: 'GET',
  path: '/_matrix/federation/v1/timestamp_to_event/:roomId',
  params: object({ roomId }),
  query: object({ ts: integer, dir: oneOf('f', 'b') }),
  reply: object({ event_id: eventId, origin_server_ts: integer }),
});
