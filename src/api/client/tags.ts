/** Spec module "Room tagging". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, empty, object, roomId, string, userId } from '../../http/schema.ts';
import type { AccountData } from '../../services/account-data.ts';
import { v3 } from './paths.ts';
import { checkOneself } from './shapes.ts';

const TAGS = '/user/:userId/rooms/:roomId/tags';

export const tagEndpoints = ({ accountData }: { accountData: AccountData }): Endpoint[] => [
  endpoint({
    name: 'getRoomTags',
    method: 'GET',
    ...v3(TAGS),
    auth: 'user',
    params: object({ userId, roomId }),
    reply: object({ tags: anyObject }),
    async handler({ user, params }) {
      checkOneself(params.userId, user, 'Tags of other users cannot be reached.');
      return { tags: await accountData.tags(user.userId, params.roomId) };
    },
  }),
  endpoint({
    name: 'setRoomTag',
    method: 'PUT',
    ...v3(`${TAGS}/:tag`),
    auth: 'user',
    params: object({ userId, roomId, tag: string }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, body }) {
      checkOneself(params.userId, user, 'Tags of other users cannot be reached.');
      await accountData.tag(user.userId, params.roomId, params.tag, body);
      return {};
    },
  }),
  endpoint({
    name: 'deleteRoomTag',
    method: 'DELETE',
    ...v3(`${TAGS}/:tag`),
    auth: 'user',
    params: object({ userId, roomId, tag: string }),
    reply: empty,
    async handler({ user, params }) {
      checkOneself(params.userId, user, 'Tags of other users cannot be reached.');
      await accountData.tag(user.userId, params.roomId, params.tag, null);
      return {};
    },
  }),
];
