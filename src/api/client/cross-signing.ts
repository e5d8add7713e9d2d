/** Spec module "Cross-signing". */
import { CROSS_SIGNING_USAGES } from '../../core/device-keys.ts';
import { endpoint } from '../../http/endpoint.ts';
import { anyObject, empty, object, optional, orNull, record } from '../../http/schema.ts';
import { type CrossSigning, type CrossSigningKeys, readCrossSigningKey } from '../../services/cross-signing.ts';
import type { UserInteractiveAuth } from '../../services/user-interactive-auth.ts';
import { v3 } from './paths.ts';

const FLOWS = [['m.login.password']];

export const crossSigningEndpoints = ({
  crossSigning,
  userInteractiveAuth,
}: {
  crossSigning: CrossSigning;
  userInteractiveAuth: UserInteractiveAuth;
}) => [
  endpoint({
    name: 'uploadCrossSigningKeys',
    method: 'POST',
    ...v3('/keys/device_signing/upload'),
    auth: 'user',
    body: object({
      master_key: optional(orNull(anyObject)),
      self_signing_key: optional(orNull(anyObject)),
      user_signing_key: optional(orNull(anyObject)),
      auth: optional(orNull(anyObject)),
    }),
    reply: empty,
    async handler({ user, body, request }) {
      const given = CROSS_SIGNING_USAGES.flatMap((usage) => {
        const key = body[`${usage}_key`];
        return key === undefined || key === null ? [] : [[usage, readCrossSigningKey(user.userId, usage, key)]];
      });
      const keys: CrossSigningKeys = Object.fromEntries(given);
      if (await crossSigning.needsProof(user.userId, keys)) {
        const challenge = await userInteractiveAuth.check(request, user, body, FLOWS, { isGrave: true });
        if (challenge !== null) return challenge;
      }
      await crossSigning.upload(user.userId, keys);
      return {};
    },
  }),
  endpoint({
    name: 'uploadCrossSigningSignatures',
    method: 'POST',
    ...v3('/keys/signatures/upload'),
    auth: 'user',
    body: record(record(anyObject)),
    reply: object({ failures: record(record(anyObject)) }),
    async handler({ user, body }) {
      return { failures: await crossSigning.sign(user.userId, body) };
    },
  }),
];
