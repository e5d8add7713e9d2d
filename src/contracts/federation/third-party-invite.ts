/** Server-server module "Third-party invites": what becomes of an invite by e-mail. */
import { anyObject, empty, object, roomId } from '../../http/schema.ts';
import { operation } from '../operation.ts';

export const exchangeThirdPartyInvite = operation({
  name: 'exchangeThirdPartyInvite',
  method: 'PUT',
  path: '/_matrix/federation/v1/exchange_third_party_invite/:roomId',
  params: object({ roomId }),
  body: anyObject,
  reply: empty,
});
