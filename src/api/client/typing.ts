/** Spec module "Typing notifications". */
import { forbidden } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { boolean, empty, integerBetween, object, optional, roomId, userId } from '../../http/schema.ts';
import type { Rooms } from '../../rooms/rooms.ts';
import type { Typing } from '../../stream/typing.ts';
import { v3 } from './paths.ts';
import { checkOneself } from './shapes.ts';

const TIMEOUT_MS_DEFAULT = 30_000;

export const typingEndpoints = ({ rooms, typing }: { rooms: Rooms; typing: Typing }): Endpoint[] => [
  endpoint({
    name: 'setTyping',
    method: 'PUT',
    ...v3('/rooms/:roomId/typing/:userId'),
    auth: 'user-or-guest',
    isActivity: true,
    params: object({ roomId, userId }),
    body: object({ typing: boolean, timeout: optional(integerBetween(0, Number.MAX_SAFE_INTEGER)) }),
    reply: empty,
    async handler({ user, params, body }) {
      checkOneself(params.userId, user, 'Only your own typing can be told.');
      const live = await rooms.find(params.roomId);
      if (live === null || live.membershipOf(user.userId) !== 'join') throw forbidden('You are not in this room.');
      typing.set(live.roomNo, user.userId, body.typing ? (body.timeout ?? TIMEOUT_MS_DEFAULT) : 0, live.joinedLocal);
      return {};
    },
  }),
];
