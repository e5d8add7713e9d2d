/** Spec module "Client config": account data. */
import { type Endpoint, endpoint, JsonText } from '../../http/endpoint.ts';
import { anyObject, empty, object, roomId, string, userId } from '../../http/schema.ts';
import type { AccountData } from '../../services/account-data.ts';
import { v3 } from './paths.ts';
import { checkOneself } from './shapes.ts';

const ACCOUNT = '/user/:userId/account_data/:type';
const ROOM = '/user/:userId/rooms/:roomId/account_data/:type';

export const accountDataEndpoints = ({ accountData }: { accountData: AccountData }): Endpoint[] => [
  endpoint({
    name: 'setAccountData',
    method: 'PUT',
    ...v3(ACCOUNT),
    auth: 'user',
    params: object({ userId, type: string }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, body }) {
      checkOneself(params.userId, user, 'Account data of other users cannot be reached.');
      await accountData.set(user.userId, null, params.type, body);
      return {};
    },
  }),
  endpoint({
    name: 'getAccountData',
    method: 'GET',
    ...v3(ACCOUNT),
    auth: 'user',
    params: object({ userId, type: string }),
    reply: anyObject,
    async handler({ user, params }) {
      checkOneself(params.userId, user, 'Account data of other users cannot be reached.');
      return new JsonText(await accountData.get(user.userId, null, params.type));
    },
  }),
  endpoint({
    name: 'setAccountDataPerRoom',
    method: 'PUT',
    ...v3(ROOM),
    auth: 'user',
    params: object({ userId, roomId, type: string }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, body }) {
      checkOneself(params.userId, user, 'Account data of other users cannot be reached.');
      await accountData.set(user.userId, params.roomId, params.type, body);
      return {};
    },
  }),
  endpoint({
    name: 'getAccountDataPerRoom',
    method: 'GET',
    ...v3(ROOM),
    auth: 'user',
    params: object({ userId, roomId, type: string }),
    reply: anyObject,
    async handler({ user, params }) {
      checkOneself(params.userId, user, 'Account data of other users cannot be reached.');
      return new JsonText(await accountData.get(user.userId, params.roomId, params.type));
    },
  }),
];
