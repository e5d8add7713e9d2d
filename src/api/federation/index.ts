/** The server-server API: each module once. What they use together is what `main/compose.ts` must build. */
import type { Endpoint } from '../../http/endpoint.ts';
import { backfillEndpoints } from './backfill.ts';
import { eventAuthEndpoints } from './event-auth.ts';
import { eventEndpoints } from './events.ts';
import { inviteEndpointsV1 } from './invites-v1.ts';
import { inviteEndpointsV2 } from './invites-v2.ts';
import { joinEndpointsV1 } from './joins-v1.ts';
import { joinEndpointsV2 } from './joins-v2.ts';
import { keysQueryEndpoints } from './keys-query.ts';
import { keysServerEndpoints } from './keys-server.ts';
import { knockEndpoints } from './knocks.ts';
import { leavingEndpointsV1 } from './leaving-v1.ts';
import { leavingEndpointsV2 } from './leaving-v2.ts';
import { openidUserinfoEndpoints } from './openid.ts';
import { publicRoomsEndpoints } from './public-rooms.ts';
import { queryEndpoints } from './query.ts';
import { roomComplexityEndpoints } from './room-complexity.ts';
import { spaceHierarchyEndpoints } from './space-hierarchy.ts';
import { thirdPartyInviteEndpoints } from './third-party-invite.ts';
import { transactionEndpoints } from './transactions.ts';
import { userDevicesEndpoints } from './user-devices.ts';
import { userKeysEndpoints } from './user-keys.ts';
import { versionEndpoints } from './version.ts';

const modules = [
  backfillEndpoints,
  eventAuthEndpoints,
  eventEndpoints,
  keysQueryEndpoints,
  inviteEndpointsV1,
  inviteEndpointsV2,
  joinEndpointsV1,
  joinEndpointsV2,
  keysServerEndpoints,
  knockEndpoints,
  leavingEndpointsV1,
  leavingEndpointsV2,
  openidUserinfoEndpoints,
  publicRoomsEndpoints,
  queryEndpoints,
  roomComplexityEndpoints,
  spaceHierarchyEndpoints,
  userDevicesEndpoints,
  userKeysEndpoints,
  thirdPartyInviteEndpoints,
  transactionEndpoints,
  versionEndpoints,
] as const;

/** Everything that some module uses. */
export type FederationServices = (typeof modules)[number] extends (services: infer S) => Endpoint[] ? S : never;

export const federationEndpoints = (services: FederationServices): Endpoint[] =>
  modules.flatMap((module) => module(services));
