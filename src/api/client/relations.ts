/** Spec module "Relationships API": the events that relate to an event. */
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, boolean, eventId, integer, object, oneOf, optional, roomId, string } from '../../http/schema.ts';
import type { EventRelations, RelationsAsk } from '../../services/event-relations.ts';
import { viewReaderOf } from './rooms.ts';

const direction = oneOf('b', 'f');

const query = object({
  from: optional(string),
  to: optional(string),
  limit: optional(integer),
  dir: optional(direction),
  recurse: optional(boolean),
  // As clients asked before it was in the specification.
  'org.matrix.msc3715.dir': optional(direction),
  'org.matrix.msc3981.recurse': optional(boolean),
});

type Query = {
  from?: string;
  to?: string;
  limit?: number;
  dir?: 'b' | 'f';
  recurse?: boolean;
  'org.matrix.msc3715.dir'?: 'b' | 'f';
  'org.matrix.msc3981.recurse'?: boolean;
};

function askOf(query: Query): RelationsAsk {
  const { from, to, limit, dir } = query;
  const recurse = query.recurse ?? query['org.matrix.msc3981.recurse'];
  return {
    direction: dir ?? query['org.matrix.msc3715.dir'] ?? 'b',
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(limit === undefined ? {} : { limit }),
    ...(recurse === undefined ? {} : { recurse }),
  };
}

const PATH = '/_matrix/client/v1/rooms/:roomId/relations/:eventId';

export const relationsEndpoints = ({ eventRelations }: { eventRelations: EventRelations }): Endpoint[] => [
  endpoint({
    name: 'getRelatingEvents',
    method: 'GET',
    path: PATH,
    auth: 'user-or-guest',
    params: object({ roomId, eventId }),
    query,
    reply: anyObject,
    async handler({ user, params, query }) {
      const { roomId: room, eventId: event } = params;
      return new JsonText(await eventRelations.list(viewReaderOf(user), room, event, askOf(query)));
    },
  }),
  endpoint({
    name: 'getRelatingEventsWithRelType',
    method: 'GET',
    path: `${PATH}/:relType`,
    auth: 'user-or-guest',
    params: object({ roomId, eventId, relType: string }),
    query,
    reply: anyObject,
    async handler({ user, params, query }) {
      const { roomId: room, eventId: event, relType } = params;
      return new JsonText(await eventRelations.list(viewReaderOf(user), room, event, { ...askOf(query), relType }));
    },
  }),
  endpoint({
    name: 'getRelatingEventsWithRelTypeAndEventType',
    method: 'GET',
    path: `${PATH}/:relType/:eventType`,
    auth: 'user-or-guest',
    params: object({ roomId, eventId, relType: string, eventType: string }),
    query,
    reply: anyObject,
    async handler({ user, params, query }) {
      const { roomId: room, eventId: event, relType, eventType } = params;
      const ask = { ...askOf(query), relType, eventType };
      return new JsonText(await eventRelations.list(viewReaderOf(user), room, event, ask));
    },
  }),
];
