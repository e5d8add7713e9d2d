/** Server-server module "Published room directory". */
import { anyObject, array, boolean, integer, object, optional, orNull, string } from '../../http/schema.ts';
import { operation } from '../operation.ts';

const directoryPage = object({
  chunk: array(anyObject),
  next_batch: optional(string),
  prev_batch: optional(string),
  total_room_count_estimate: optional(integer),
});

export const getPublicRooms = operation({
  name: 'getPublicRooms',
  method: 'GET',
  path: '/_matrix/federation/v1/publicRooms',
  query: object({
    limit: optional(integer),
    since: optional(string),
    include_all_networks: optional(boolean),
    third_party_instance_id: optional(string),
  }),
  reply: directoryPage,
});

export const queryPublicRooms = operation({
  name: 'queryPublicRooms',
  method: 'POST',
  path: '/_matrix/federation/v1/publicRooms',
  body: object({
    limit: optional(orNull(integer)),
    since: optional(orNull(string)),
    filter: optional(
      orNull(
        object({
          generic_search_term: optional(orNull(string)),
          room_types: optional(orNull(array(orNull(string), { maxItems: 100 }))),
        }),
      ),
    ),
    include_all_networks: optional(orNull(boolean)),
    third_party_instance_id: optional(orNull(string)),
  }),
  reply: directoryPage,
});
