/** Accounts made through the shared secret, the quickest way that every Synapse-like server knows. */
import { createHmac } from 'node:crypto';

export type Account = { readonly userId: string; readonly accessToken: string; readonly deviceId: string };

/**
 * Registers a user through `/_synapse/admin/v1/register` and logs it in.
 *
 * @throws Error where the server refuses
 */
export async function registerAccount(
  url: string,
  sharedSecret: string,
  localpart: string,
  password = 'a password',
): Promise<Account> {
  const endpoint = `${url}/_synapse/admin/v1/register`;
  // The answer of this API; a server that answers otherwise fails at the next step.
  const { nonce } = (await (await fetch(endpoint)).json()) as { nonce: string };
  const mac = createHmac('sha1', sharedSecret)
    .update([nonce, localpart, password, 'notadmin'].join('\0'))
    .digest('hex');
  const reply = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ nonce, username: localpart, password, admin: false, mac }),
  });
  if (!reply.ok) throw new Error(`Registering ${localpart}: ${reply.status} ${await reply.text()}`);
  const body = (await reply.json()) as { user_id: string; access_token: string; device_id: string };
  return { userId: body.user_id, accessToken: body.access_token, deviceId: body.device_id };
}
