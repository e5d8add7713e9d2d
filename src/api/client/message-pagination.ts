/** Spec module "Getting events for a room": pages of its history. */
import { compileRoomEventFilter, type RoomEventFilter } from '../../core/filter.ts';
import { parseJson } from '../../core/json.ts';
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, integer, object, oneOf, optional, roomId, string } from '../../http/schema.ts';
import type { RoomHistory } from '../../services/room-history.ts';
import { v3 } from './paths.ts';
import { viewReaderOf } from './rooms.ts';

const NO_FILTER = compileRoomEventFilter({});

/** The filter of a query parameter. Throws 400 where it is no JSON or no filter. */
export function readFilter(text: string | undefined): RoomEventFilter {
  return text === undefined || text === '' ? NO_FILTER : compileRoomEventFilter(parseJson(text));
}

export const messagePaginationEndpoints = ({ roomHistory }: { roomHistory: RoomHistory }): Endpoint[] => [
  endpoint({
    name: 'getRoomEvents',
    method: 'GET',
    ...v3('/rooms/:roomId/messages'),
    auth: 'user-or-guest',
    params: object({ roomId }),
    query: object({
      from: optional(string),
      to: optional(string),
      dir: optional(oneOf('b', 'f')),
      limit: optional(integer),
      filter: optional(string),
    }),
    reply: anyObject,
    async handler({ user, params, query }) {
      const { from, to, limit, dir, filter } = query;
      return new JsonText(
        await roomHistory.messages(viewReaderOf(user), params.roomId, {
          direction: dir ?? 'f',
          filter: readFilter(filter),
          ...(from === undefined ? {} : { from }),
          ...(to === undefined ? {} : { to }),
          ...(limit === undefined ? {} : { limit }),
        }),
      );
    },
  }),
];
