/** Spec module "Client config": account data. */
import { forbidden } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, empty, object, roomId, string, userId } from '../../http/schema.ts';
import type { AccountData } from '../../services/account-data.ts';

/** Account data is its owner's alone. */
function checkOwner(owner: UserId, asking: UserId): void {
  if (owner !== asking) throw forbidden('Account data of other users cannot be reached.');
}

const ACCOUNT = '/user/:userId/account_data/:type';
const ROOM = '/user/:userId/rooms/:roomId/account_data/:type';

export const accountDataEndpoints = ({ accountData }: { accountData: AccountData }): Endpoint[] => [
  endpoint({
    name: 'setAccountData',
    method: 'PUT',
    path: `/_matrix/client/v3${ACCOUNT}`,
    alsoAt: [`/_matrix/client/r0${ACCOUNT}`],
    auth: 'user',
    params: object({ userId, type: string }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, body }) {
      checkOwner(params.userId, user.userId);
      await accountData.set(user.userId, null, params.type, body);
      return {};
    },
  }),
  endpoint({
    name: 'getAccountData',
    method: 'GET',
    path: `/_matrix/client/v3${ACCOUNT}`,
    alsoAt: [`/_matrix/client/r0${ACCOUNT}`],
    auth: 'user',
    params: object({ userId, type: string }),
    reply: anyObject,
    async handler({ user, params }) {
      checkOwner(params.userId, user.userId);
      return new JsonText(await accountData.get(user.userId, null, params.type));
    },
  }),
  endpoint({
    name: 'setAccountDataPerRoom',
    method: 'PUT',
    path: `/_matrix/client/v3${ROOM}`,
    alsoAt: [`/_matrix/client/r0${ROOM}`],
    auth: 'user',
    params: object({ userId, roomId, type: string }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, body }) {
      checkOwner(params.userId, user.userId);
      await accountData.set(user.userId, params.roomId, params.type, body);
      return {};
    },
  }),
  endpoint({
    name: 'getAccountDataPerRoom',
    method: 'GET',
    path: `/_matrix/client/v3${ROOM}`,
    alsoAt: [`/_matrix/client/r0${ROOM}`],
    auth: 'user',
    params: object({ userId, roomId, type: string }),
    reply: anyObject,
    async handler({ user, params }) {
      checkOwner(params.userId, user.userId);
      return new JsonText(await accountData.get(user.userId, params.roomId, params.type));
    },
  }),
];
