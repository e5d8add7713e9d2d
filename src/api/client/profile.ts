/** Spec module "Profiles". */
import { missingParam } from '../../core/errors.ts';
import { type Endpoint, endpoint } from '../../http/endpoint.ts';
import { anyObject, empty, object, string, userId } from '../../http/schema.ts';
import type { Profiles } from '../../services/profiles.ts';
import { v3 } from './paths.ts';

/** Where fields were before the specification took them up. */
const UNSTABLE = '/_matrix/client/unstable/uk.tcpip.msc4133';
const PROFILE = '/profile/:userId';
const FIELD = `${PROFILE}/:keyName`;

/** A path of the specification, and the one from before. */
function paths(path: string): { path: string; alsoAt: string[] } {
  const { path: stable, alsoAt } = v3(path);
  return { path: stable, alsoAt: [...alsoAt, `${UNSTABLE}${path}`] };
}

export const profileEndpoints = ({ profiles }: { profiles: Profiles }): Endpoint[] => [
  endpoint({
    name: 'getUserProfile',
    method: 'GET',
    ...paths(PROFILE),
    auth: 'optional',
    params: object({ userId }),
    reply: anyObject,
    handler: ({ user, params }) => profiles.get(user?.userId ?? null, params.userId),
  }),
  endpoint({
    name: 'getProfileField',
    method: 'GET',
    ...paths(FIELD),
    auth: 'optional',
    params: object({ userId, keyName: string }),
    reply: anyObject,
    async handler({ user, params }) {
      return { [params.keyName]: await profiles.getField(user?.userId ?? null, params.userId, params.keyName) };
    },
  }),
  endpoint({
    name: 'setProfileField',
    method: 'PUT',
    ...paths(FIELD),
    auth: 'user-or-guest',
    refusesSuspended: true,
    rateLimit: 'profile',
    params: object({ userId, keyName: string }),
    body: anyObject,
    reply: empty,
    async handler({ user, params, body }) {
      const { keyName } = params;
      const value = Object.hasOwn(body, keyName) ? body[keyName] : undefined;
      if (value === undefined) throw missingParam(`${keyName}: is missing.`);
      await profiles.setField(user, params.userId, keyName, value);
      return {};
    },
  }),
  endpoint({
    name: 'deleteProfileField',
    method: 'DELETE',
    ...paths(FIELD),
    auth: 'user-or-guest',
    refusesSuspended: true,
    rateLimit: 'profile',
    params: object({ userId, keyName: string }),
    reply: empty,
    async handler({ user, params }) {
      await profiles.deleteField(user, params.userId, params.keyName);
      return {};
    },
  }),
];
