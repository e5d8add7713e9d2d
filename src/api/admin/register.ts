/** Registration by the shared secret: what `register_new_matrix_user`, ours and Synapse's, speaks. */
import type { ServerName } from '../../core/ids.ts';
import { endpoint } from '../../http/endpoint.ts';
import { boolean, object, oneOf, optional, orNull, string } from '../../http/schema.ts';
import type { SharedSecretRegistration } from '../../services/shared-secret-registration.ts';

const path = '/_synapse/admin/v1/register';

export const registerEndpoints = ({
  sharedSecretRegistration,
  serverName,
}: {
  sharedSecretRegistration: SharedSecretRegistration;
  serverName: ServerName;
}) => [
  endpoint({
    name: 'getRegistrationNonce',
    method: 'GET',
    path,
    auth: 'none',
    reply: object({ nonce: string }),
    handler: () => ({ nonce: sharedSecretRegistration.makeNonce() }),
  }),
  endpoint({
    name: 'registerBySharedSecret',
    method: 'POST',
    path,
    auth: 'none',
    body: object({
      nonce: string,
      username: string,
      password: string,
      mac: string,
      admin: optional(orNull(boolean)),
      user_type: optional(orNull(string)),
      displayname: optional(orNull(string)),
    }),
    reply: object({ user_id: string, access_token: string, device_id: string, home_server: string }),
    async handler({ body }) {
      const session = await sharedSecretRegistration.register({
        nonce: body.nonce,
        username: body.username,
        password: body.password,
        isAdmin: body.admin ?? false,
        userType: body.user_type ?? null,
        displayName: body.displayname ?? null,
        mac: body.mac,
      });
      return {
        user_id: session.userId as string,
        access_token: session.accessToken,
        device_id: session.deviceId,
        home_server: serverName as string,
      };
    },
  }),
  endpoint({
    name: 'registerOldForm',
    method: 'POST',
    path: '/_matrix/client/api/v1/register',
    auth: 'none',
    body: object({ type: oneOf('org.matrix.login.shared_secret'), user: string, password: string, mac: string }),
    reply: object({ user_id: string, access_token: string, home_server: string }),
    async handler({ body }) {
      const { userId, accessToken } = await sharedSecretRegistration.registerOldForm({
        username: body.user,
        password: body.password,
        mac: body.mac,
      });
      return { user_id: userId as string, access_token: accessToken, home_server: serverName as string };
    },
  }),
];
