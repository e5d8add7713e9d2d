/** Spec module "Account deactivation". */
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, boolean, object, optional, orNull, string } from '../../http/schema.ts';
import type { Deactivation } from '../../services/deactivation.ts';
import type { UserInteractiveAuth } from '../../services/user-interactive-auth.ts';

const FLOWS = [['m.login.password']];

export const accountDeactivationEndpoints = ({
  deactivation,
  userInteractiveAuth,
}: {
  deactivation: Deactivation;
  userInteractiveAuth: UserInteractiveAuth;
}) => [
  endpoint({
    name: 'deactivateAccount',
    method: 'POST',
    path: '/_matrix/client/v3/account/deactivate',
    auth: 'user',
    body: object({ auth: optional(orNull(anyObject)), erase: optional(orNull(boolean)) }),
    reply: object({ id_server_unbind_result: string }),
    async handler({ user, body, request }) {
      const challenge = await userInteractiveAuth.check(request, user, body, FLOWS, { isGrave: true });
      if (challenge !== null) return challenge;
      await deactivation.deactivate(user.userId, { isErased: body.erase === true });
      // No address was ever bound through this server, so none is left bound.
      return { id_server_unbind_result: 'success' };
    },
  }),
];
