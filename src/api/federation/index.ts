/** The server-server API: each module once. What they use together is what `main/compose.ts` must build. */
import type { Endpoint } from '../../http/endpoint.ts';
import { backfillEndpoints } from './backfill.ts';
import { eventAuthEndpoints } from './event-auth.ts';
import { eventEndpoints } from './events.ts';
import { keysQueryEndpoints } from './keys-query.ts';
import { keysServerEndpoints } from './keys-server.ts';
import { openidUserinfoEndpoints } from './openid.ts';
import { publicRoomsEndpoints } from './public-rooms.ts';
import { queryEndpoints } from './query.ts';
import { spaceHierarchyEndpoints } from './space-hierarchy.ts';
import { userDevicesEndpoints } from './user-devices.ts';
import { versionEndpoints } from './version.ts';

const modules = [
  backfillEndpoints,
  eventAuthEndpoints,
  eventEndpoints,
  keysQueryEndpoints,
  keysServerEndpoints,
  openidUserinfoEndpoints,
  publicRoomsEndpoints,
  queryEndpoints,
  spaceHierarchyEndpoints,
  userDevicesEndpoints,
  versionEndpoints,
] as const;

/** Everything that some module uses. */
export type FederationServices = (typeof modules)[number] extends (services: infer S) => Endpoint[] ? S : never;

export const federationEndpoints = (services: FederationServices): Endpoint[] =>
  modules.flatMap((module) => module(services));
