/** Spec module "Login". */
import { badRequest, forbidden, missingParam } from '../../core/errors.ts';
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, array, object, optional, orNull, string } from '../../http/schema.ts';
import type { Session } from '../../services/devices.ts';
import type { Login } from '../../services/login.ts';
import { loginNameOf } from '../../services/user-interactive-auth.ts';
import { deviceWishFields, deviceWishOf, sessionFields, wireSession } from './shapes.ts';

const paths = {
  path: '/_matrix/client/v3/login',
};

export const loginEndpoints = ({ login, publicBaseUrl }: { login: Login; publicBaseUrl: string | null }) => [
  endpoint({
    name: 'getLoginFlows',
    method: 'GET',
    ...paths,
    auth: 'none',
    reply: object({ flows: array(anyObject) }),
    handler: () => ({
      flows: login.types.map((type) => ({ type, ...(type === 'm.login.token' ? { get_login_token: true } : {}) })),
    }),
  }),
  endpoint({
    name: 'login',
    method: 'POST',
    ...paths,
    auth: 'none',
    rateLimit: 'loginAddress',
    body: object({
      type: string,
      identifier: optional(orNull(anyObject)),
      user: optional(orNull(string)),
      password: optional(orNull(string)),
      token: optional(orNull(string)),
      ...deviceWishFields,
    }),
    reply: object({ user_id: string, ...sessionFields, well_known: optional(anyObject) }),
    async handler({ body }) {
      if (body.type !== 'm.login.password' && body.type !== 'm.login.token') {
        throw badRequest('M_UNKNOWN', 'This login type is not known here.');
      }
      if (!login.types.includes(body.type)) throw forbidden('Login of this type is switched off on this server.');
      const session = await (body.type === 'm.login.token' ? byToken(login, body) : byPassword(login, body));
      return wireLogin(session, publicBaseUrl);
    },
  }),
];

/** The answer to a login. */
export const wireLogin = (session: Session, publicBaseUrl: string | null) => ({
  ...wireSession(session),
  ...(publicBaseUrl === null ? {} : { well_known: { 'm.homeserver': { base_url: publicBaseUrl } } }),
});

type LoginBody = Parameters<typeof deviceWishOf>[0] &
  Parameters<typeof loginNameOf>[0] & { readonly password?: string | null; readonly token?: string | null };

async function byPassword(login: Login, body: LoginBody): Promise<Session> {
  const name = loginNameOf(body);
  if (name === null) throw missingParam('The login names no user: an identifier of type m.id.user is needed.');
  if (typeof body.password !== 'string') throw missingParam('The password is missing.');
  return login.withPassword(name, body.password, deviceWishOf(body));
}

async function byToken(login: Login, body: LoginBody): Promise<Session> {
  if (typeof body.token !== 'string') throw missingParam('The token is missing.');
  return login.withToken(body.token, deviceWishOf(body));
}
