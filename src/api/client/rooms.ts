/** Spec module "Getting events for a room": single events, state and members. */
import { type Endpoint, endpoint, JsonText, type Requester } from '../../http/endpoint.ts';
import { anyJson, anyObject, array, eventId, object, oneOf, optional, roomId, string } from '../../http/schema.ts';
import { deviceScopeOf, type ViewReader } from '../../rooms/client-view.ts';
import type { RoomHistory } from '../../services/room-history.ts';
import { v3 } from './paths.ts';

/** Who reads, as events are shown to them. */
export const viewReaderOf = (user: Requester): ViewReader => ({
  userId: user.userId,
  deviceScope: deviceScopeOf(user),
});

export const roomsEndpoints = ({ roomHistory }: { roomHistory: RoomHistory }): Endpoint[] => [
  endpoint({
    name: 'getOneRoomEvent',
    method: 'GET',
    ...v3('/rooms/:roomId/event/:eventId'),
    auth: 'user-or-guest',
    params: object({ roomId, eventId }),
    reply: anyObject,
    async handler({ user, params }) {
      return new JsonText(await roomHistory.event(viewReaderOf(user), params.roomId, params.eventId));
    },
  }),
  endpoint({
    name: 'getRoomState',
    method: 'GET',
    ...v3('/rooms/:roomId/state'),
    auth: 'user-or-guest',
    params: object({ roomId }),
    reply: array(anyJson),
    async handler({ user, params }) {
      return new JsonText(await roomHistory.state(viewReaderOf(user), params.roomId));
    },
  }),
  endpoint({
    name: 'getRoomStateWithKey',
    method: 'GET',
    ...v3('/rooms/:roomId/state/:eventType/:stateKey', '/rooms/:roomId/state/:eventType'),
    auth: 'user-or-guest',
    params: object({ roomId, eventType: string, stateKey: optional(string) }),
    query: object({ format: optional(oneOf('content', 'event')) }),
    reply: anyObject,
    async handler({ user, params, query }) {
      const { roomId: room, eventType, stateKey = '' } = params;
      if (query.format === 'event') {
        return new JsonText(await roomHistory.stateEventText(viewReaderOf(user), room, eventType, stateKey));
      }
      return roomHistory.stateContent(user.userId, room, eventType, stateKey);
    },
  }),
  endpoint({
    name: 'getMembersByRoom',
    method: 'GET',
    ...v3('/rooms/:roomId/members'),
    auth: 'user-or-guest',
    params: object({ roomId }),
    query: object({ at: optional(string), membership: optional(string), not_membership: optional(string) }),
    reply: anyObject,
    async handler({ user, params, query }) {
      const { at, membership, not_membership: notMembership } = query;
      return new JsonText(
        await roomHistory.members(viewReaderOf(user), params.roomId, {
          ...(at === undefined ? {} : { at }),
          ...(membership === undefined ? {} : { membership }),
          ...(notMembership === undefined ? {} : { notMembership }),
        }),
      );
    },
  }),
  endpoint({
    name: 'getJoinedMembersByRoom',
    method: 'GET',
    ...v3('/rooms/:roomId/joined_members'),
    auth: 'user-or-guest',
    params: object({ roomId }),
    reply: anyObject,
    async handler({ user, params }) {
      return new JsonText(await roomHistory.joinedMembers(user.userId, params.roomId));
    },
  }),
];
