/** Server-server module "Third-party invites": what becomes of invites by mail address. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyJson, array, empty, object, string, userId } from '../../http/schema.ts';
import { INVITES_MAX, type ThirdPartyInvites } from '../../services/third-party-invites.ts';

export const thirdPartyInviteEndpoints = ({
  thirdPartyInvites,
}: {
  thirdPartyInvites: ThirdPartyInvites;
}): Endpoint[] => [
  answering(FEDERATION.exchangeThirdPartyInvite, {
    async handler({ origin, params, body }) {
      await thirdPartyInvites.exchange(origin, params.roomId, body);
      return {};
    },
  }),
  endpoint({
    name: 'onBindThirdPartyIdentifier',
    method: 'PUT',
    path: '/_matrix/federation/v1/3pid/onbind',
    // Identity servers sign no requests. What they say of an invite is signed, and the room's rules look at that.
    auth: 'none',
    rateLimit: 'thirdPartyInvite',
    body: object({ medium: string, address: string, mxid: userId, invites: array(anyJson, { maxItems: INVITES_MAX }) }),
    reply: empty,
    async handler({ body }) {
      await thirdPartyInvites.onBound({ userId: body.mxid, invites: body.invites });
      return {};
    },
  }),
];
