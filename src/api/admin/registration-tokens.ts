/** Registration tokens, for admins, in Synapse's words. */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, array, boolean, empty, integer, object, optional, orNull, string } from '../../http/schema.ts';
import type { RegistrationTokens } from '../../services/registration-tokens.ts';

const PATH = '/_synapse/admin/v1/registration_tokens';

const bounds = {
  uses_allowed: optional(orNull(integer)),
  expiry_time: optional(orNull(integer)),
};

function wireToken(row: Awaited<ReturnType<RegistrationTokens['get']>>) {
  return {
    token: row.token,
    uses_allowed: row.usesAllowed,
    // A use is taken when the account is made, so that none is ever under way.
    pending: 0,
    completed: row.completed,
    expiry_time: row.expiryMs,
  };
}

export const adminRegistrationTokensEndpoints = ({
  registrationTokens,
}: {
  registrationTokens: RegistrationTokens;
}): Endpoint[] => [
  endpoint({
    name: 'listRegistrationTokens',
    method: 'GET',
    path: PATH,
    auth: 'admin',
    query: object({ valid: optional(boolean) }),
    reply: object({ registration_tokens: array(anyObject) }),
    handler: async ({ query }) => ({
      registration_tokens: (await registrationTokens.list(query.valid ?? null)).map(wireToken),
    }),
  }),
  endpoint({
    name: 'newRegistrationToken',
    method: 'POST',
    path: `${PATH}/new`,
    auth: 'admin',
    body: object({ ...bounds, token: optional(string), length: optional(integer) }),
    reply: anyObject,
    async handler({ body }) {
      const wish = { token: body.token ?? null, length: body.length ?? null };
      const limits = { usesAllowed: body.uses_allowed ?? null, expiryMs: body.expiry_time ?? null };
      return wireToken(await registrationTokens.create(wish, limits));
    },
  }),
  endpoint({
    name: 'getRegistrationToken',
    method: 'GET',
    path: `${PATH}/:token`,
    auth: 'admin',
    params: object({ token: string }),
    reply: anyObject,
    handler: async ({ params }) => wireToken(await registrationTokens.get(params.token)),
  }),
  endpoint({
    name: 'updateRegistrationToken',
    method: 'PUT',
    path: `${PATH}/:token`,
    auth: 'admin',
    params: object({ token: string }),
    body: object(bounds),
    reply: anyObject,
    async handler({ params, body }) {
      return wireToken(
        await registrationTokens.update(params.token, {
          ...(body.uses_allowed === undefined ? {} : { usesAllowed: body.uses_allowed }),
          ...(body.expiry_time === undefined ? {} : { expiryMs: body.expiry_time }),
        }),
      );
    },
  }),
  endpoint({
    name: 'deleteRegistrationToken',
    method: 'DELETE',
    path: `${PATH}/:token`,
    auth: 'admin',
    params: object({ token: string }),
    reply: empty,
    async handler({ params }) {
      await registrationTokens.remove(params.token);
      return {};
    },
  }),
];
