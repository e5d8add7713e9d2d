/** Spec module "Voice over IP": where calls are relayed. */
import { endpoint } from '../../http/endpoint.ts';
import { anyObject } from '../../http/schema.ts';
import type { Turn } from '../../services/turn.ts';
import { v3 } from './paths.ts';

export const voipEndpoints = ({ turn }: { turn: Turn }) => [
  endpoint({
    name: 'getTurnServer',
    method: 'GET',
    ...v3('/voip/turnServer'),
    auth: 'user-or-guest',
    reply: anyObject,
    handler({ user }) {
      const credentials = turn.credentialsFor(user);
      if (credentials === null) return {};
      const { username, password, uris, lifetimeMs } = credentials;
      return { username, password, uris: [...uris], ttl: Math.floor(lifetimeMs / 1000) };
    },
  }),
];
