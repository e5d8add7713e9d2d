/** Other servers and how sending to them goes, for admins, in Synapse's words. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, empty, integerBetween, object, oneOf, optional, serverName, string } from '../../http/schema.ts';
import { DESTINATION_ORDERS, type DestinationFacts, type Destinations } from '../../senders/federation/destinations.ts';

const PATH = '/_synapse/admin/v1/federation/destinations';
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

const page = {
  from: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)),
  limit: optional(integerBetween(0, LIMIT_MAX)),
  dir: optional(oneOf('f', 'b')),
};

type PageQuery = { from?: number; limit?: number; dir?: 'f' | 'b' };

const pageOf = ({ from = 0, limit = LIMIT_DEFAULT, dir = 'f' }: PageQuery) =>
  ({ direction: dir, from, limit }) as const;

/** Where the next page begins; nothing on the last one. */
function nextOf({ from, limit }: { from: number; limit: number }, total: number): { next_token?: string } {
  return from + limit < total ? { next_token: String(from + limit) } : {};
}

function wireDestination(facts: DestinationFacts) {
  return {
    destination: facts.destination as string,
    retry_last_ts: facts.retryLastMs,
    retry_interval: facts.retryIntervalMs,
    failure_ts: facts.failingSinceMs,
    last_successful_stream_ordering: facts.position,
  };
}

export const adminFederationEndpoints = ({ destinations }: { destinations: Destinations }): Endpoint[] => [
  endpoint({
    name: 'listDestinations',
    method: 'GET',
    path: PATH,
    auth: 'admin',
    query: object({ ...page, order_by: optional(oneOf(...DESTINATION_ORDERS)), destination: optional(string) }),
    reply: anyObject,
    async handler({ query }) {
      const at = pageOf(query);
      const found = await destinations.list(query.destination ?? '', query.order_by ?? 'destination', at);
      return {
        destinations: found.destinations.map(wireDestination),
        total: found.total,
        ...nextOf(at, found.total),
      };
    },
  }),
  endpoint({
    name: 'getDestination',
    method: 'GET',
    path: `${PATH}/:destination`,
    auth: 'admin',
    params: object({ destination: serverName }),
    reply: anyObject,
    handler: async ({ params }) => wireDestination(await destinations.get(params.destination)),
  }),
  endpoint({
    name: 'listDestinationRooms',
    method: 'GET',
    path: `${PATH}/:destination/rooms`,
    auth: 'admin',
    params: object({ destination: serverName }),
    query: object(page),
    reply: anyObject,
    async handler({ params, query }) {
      const at = pageOf(query);
      const { rooms, total } = await destinations.rooms(params.destination, at);
      return {
        rooms: rooms.map(({ roomId, position }) => ({ room_id: roomId as string, stream_ordering: position })),
        total,
        ...nextOf(at, total),
      };
    },
  }),
  endpoint({
    name: 'resetDestination',
    method: 'POST',
    path: `${PATH}/:destination/reset_connection`,
    auth: 'admin',
    params: object({ destination: serverName }),
    body: empty,
    reply: empty,
    async handler({ params }) {
      await destinations.reset(params.destination);
      return {};
    },
  }),
];
