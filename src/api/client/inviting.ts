/** Spec module "Inviting to a room", and the refusal of "Third-party invites", which share its path. */
import { MatrixError, missingParam } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { empty, object, optional, roomId, string, userId } from '../../http/schema.ts';
import type { Membership } from '../../services/membership.ts';
import { v3 } from './paths.ts';

export const invitingEndpoints = ({ membership }: { membership: Membership }): Endpoint[] => [
  endpoint({
    name: 'inviteUser',
    method: 'POST',
    ...v3('/rooms/:roomId/invite'),
    auth: 'user',
    refusesSuspended: true,
    params: object({ roomId }),
    body: object({
      user_id: optional(userId),
      reason: optional(string),
      medium: optional(string),
      address: optional(string),
    }),
    reply: empty,
    async handler({ user, params, body }) {
      if (body.user_id === undefined) {
        if (body.medium === undefined && body.address === undefined) throw missingParam('user_id: is missing.');
        throw new MatrixError(403, 'M_THREEPID_DENIED', 'This server invites nobody by mail or phone.');
      }
      await membership.invite(user, params.roomId, body.user_id, body.reason);
      return {};
    },
  }),
];
