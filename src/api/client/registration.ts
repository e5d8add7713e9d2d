/** Spec module "Account registration". */
import { missingParam } from '../../core/errors.ts';
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, boolean, object, oneOf, optional, orNull, string } from '../../http/schema.ts';
import type { Registration } from '../../services/registration.ts';
import { TERMS_STAGE, TOKEN_STAGE } from '../../services/registration-stages.ts';
import type { RegistrationTokens } from '../../services/registration-tokens.ts';
import type { UserInteractiveAuth } from '../../services/user-interactive-auth.ts';
import { deviceWishFields, deviceWishOf, sessionFields, wireSession } from './shapes.ts';

export const registrationEndpoints = ({
  registration,
  registrationTokens,
  userInteractiveAuth,
}: {
  registration: Registration;
  registrationTokens: RegistrationTokens;
  userInteractiveAuth: UserInteractiveAuth;
}) => [
  endpoint({
    name: 'register',
    method: 'POST',
    path: '/_matrix/client/v3/register',
    auth: 'none',
    query: object({ kind: optional(oneOf('user', 'guest')) }),
    body: object({
      auth: optional(orNull(anyObject)),
      username: optional(orNull(string)),
      password: optional(orNull(string)),
      inhibit_login: optional(orNull(boolean)),
      guest_access_token: optional(orNull(string)),
      ...deviceWishFields,
    }),
    reply: object({ user_id: string, ...sessionFields }),
    async handler({ query, body, request }) {
      const { ip } = request;
      if (query.kind === 'guest') {
        return wireSession(await registration.registerGuest(ip, { ...deviceWishOf(body), deviceId: null }));
      }
      registration.checkOpen();
      const localpart = body.username ?? null;
      const guestToken = body.guest_access_token ?? null;
      const guest = guestToken === null ? null : await registration.guestOf(guestToken, localpart, request);
      if (localpart !== null && guest === null) await registration.checkName(localpart);
      const password = body.password ?? null;
      // Before the proofs: whoever has to choose another password need not prove anything twice.
      if (password !== null) registration.checkPassword(password);
      const notes = new Map<string, string>();
      const challenge = await userInteractiveAuth.check(request, null, body, registration.flows, { notes });
      if (challenge !== null) return challenge;
      if (password === null) throw missingParam('The password is missing.');
      const device = body.inhibit_login === true ? null : deviceWishOf(body);
      const token = notes.get(TOKEN_STAGE);
      if (token !== undefined) await registrationTokens.use(token);
      try {
        const { userId, session } = await registration.register({
          localpart,
          guest,
          password,
          device,
          ip,
          agreedPolicies: notes.get(TERMS_STAGE) ?? null,
        });
        return session === null ? { user_id: userId } : wireSession(session);
      } catch (error) {
        if (token !== undefined) await registrationTokens.giveBack(token);
        throw error;
      }
    },
  }),
  endpoint({
    name: 'checkUsernameAvailability',
    method: 'GET',
    path: '/_matrix/client/v3/register/available',
    auth: 'none',
    rateLimit: 'profile',
    query: object({ username: string }),
    reply: object({ available: boolean }),
    async handler({ query }) {
      await registration.checkAvailable(query.username);
      return { available: true };
    },
  }),
];
