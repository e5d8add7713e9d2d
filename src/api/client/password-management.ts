/** Spec module "Password management". */
import { forbidden } from '../../core/errors.ts';
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, boolean, empty, object, optional, orNull, string } from '../../http/schema.ts';
import type { Accounts } from '../../services/accounts.ts';
import type { Devices } from '../../services/devices.ts';
import type { UserInteractiveAuth } from '../../services/user-interactive-auth.ts';

const FLOWS = [['m.login.password']];

export const passwordManagementEndpoints = ({
  accounts,
  devices,
  userInteractiveAuth,
  mayChangePassword,
}: {
  accounts: Accounts;
  devices: Devices;
  userInteractiveAuth: UserInteractiveAuth;
  mayChangePassword: boolean;
}) => [
  endpoint({
    name: 'changePassword',
    method: 'POST',
    path: '/_matrix/client/v3/account/password',
    auth: 'user',
    body: object({
      auth: optional(orNull(anyObject)),
      new_password: string,
      logout_devices: optional(orNull(boolean)),
    }),
    reply: empty,
    async handler({ user, body, request }) {
      if (!mayChangePassword) throw forbidden('Passwords are not kept by this server.');
      // Before the proof: whoever has to choose another one need not prove anything twice.
      accounts.checkNewPassword(body.new_password);
      const challenge = await userInteractiveAuth.check(request, user, body, FLOWS, { isGrave: true });
      if (challenge !== null) return challenge;
      await accounts.setPassword(user.userId, body.new_password);
      if (body.logout_devices !== false) await devices.deleteAll(user.userId, user);
      return {};
    },
  }),
];
