/** Spec module "Login token": a device that is logged in lets another one in. */
import { unrecognized } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, integer, object, optional, orNull, string } from '../../http/schema.ts';
import type { Login } from '../../services/login.ts';
import type { UserInteractiveAuth } from '../../services/user-interactive-auth.ts';

const FLOWS = [['m.login.password']];

export const loginTokenEndpoints = (services: {
  login: Login;
  userInteractiveAuth: UserInteractiveAuth;
}): Endpoint[] => [
  endpoint({
    name: 'generateLoginToken',
    method: 'POST',
    path: '/_matrix/client/v1/login/get_token',
    alsoAt: ['/_matrix/client/unstable/org.matrix.msc3882/login/get_token'],
    auth: 'user',
    rateLimit: 'loginAccount',
    body: object({ auth: optional(orNull(anyObject)) }),
    reply: object({ login_token: string, expires_in_ms: integer }),
    async handler({ user, body, request }) {
      const { login, userInteractiveAuth } = services;
      const { ofOtherDevices } = login;
      if (ofOtherDevices === null) throw unrecognized('This server lets no device log another one in.');
      if (ofOtherDevices.asksForProof) {
        const challenge = await userInteractiveAuth.check(request, user, body, FLOWS, { isGrave: true });
        if (challenge !== null) return challenge;
      }
      return {
        login_token: await login.makeToken(user.userId, ofOtherDevices.lifetimeMs),
        expires_in_ms: ofOtherDevices.lifetimeMs,
      };
    },
  }),
];
