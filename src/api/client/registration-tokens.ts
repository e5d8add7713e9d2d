/** Spec module "Registration tokens". */
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { boolean, object, string } from '../../http/schema.ts';
import type { RegistrationTokens } from '../../services/registration-tokens.ts';

export const registrationTokensEndpoints = (services: { registrationTokens: RegistrationTokens }): Endpoint[] => [
  endpoint({
    name: 'registrationTokenValidity',
    method: 'GET',
    path: '/_matrix/client/v1/register/m.login.registration_token/validity',
    alsoAt: [
      '/_matrix/client/unstable/org.matrix.msc3231/register/org.matrix.msc3231.login.registration_token/validity',
    ],
    auth: 'none',
    rateLimit: 'registrationTokenValidity',
    query: object({ token: string }),
    reply: object({ valid: boolean }),
    handler: async ({ query }) => ({ valid: await services.registrationTokens.isValid(query.token) }),
  }),
];
