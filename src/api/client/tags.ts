/** Spec module "Room tagging". */
import { forbidden } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, empty, object, roomId, string, userId } from '../../http/schema.ts';
import type { AccountData } from '../../services/account-data.ts';

const TAGS = '/user/:userId/rooms/:roomId/tags';

function checkOwner(owner: UserId, asking: UserId): void {
  if (owner !== asking) throw forbidden('Tags of other users cannot be reached.');
}

export const tagEndpoints = ({ accountData }: { accountData: AccountData }): Endpoint[] => [
  endpoint({
    name: 'getRoomTags',
    method: 'GET',
    path: `/_matrix/client/v3${TAGS}`,
    alsoAt: [`/_matrix/client/r0${TAGS}`],
    auth: 'user',
    params: object({ userId, roomId }),
    reply: object({ tags: anyObject }),
    async handler({ user, params }) {
      checkOwner(params.userId, user.userId);
      return { tags: await accountData.tags(user.userId, params.roomId) };
    },
  }),
  endpoint({
    name: 'setRoomTag',
    method: 'PUT',
    path: `/_matrix/client/v3${TAGS}/:tag`,
    alsoAt: [`/_matrix/client/r0${TAGS}/:tag`],
    auth: 'user',
    params: object({ userId, roomId, tag: string }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, body }) {
      checkOwner(params.userId, user.userId);
      await accountData.tag(user.userId, params.roomId, params.tag, body);
      return {};
    },
  }),
  endpoint({
    name: 'deleteRoomTag',
    method: 'DELETE',
    path: `/_matrix/client/v3${TAGS}/:tag`,
    alsoAt: [`/_matrix/client/r0${TAGS}/:tag`],
    auth: 'user',
    params: object({ userId, roomId, tag: string }),
    reply: empty,
    async handler({ user, params }) {
      checkOwner(params.userId, user.userId);
      await accountData.tag(user.userId, params.roomId, params.tag, null);
      return {};
    },
  }),
];
