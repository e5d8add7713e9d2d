/** The client-server API: each module once. What they use together is what `main/compose.ts` must build. */
import type { Endpoint } from '../../http/endpoint.ts';
import { accountDataEndpoints } from './account-data.ts';
import { accountDeactivationEndpoints } from './account-deactivation.ts';
import { adminAccountEndpoints } from './admin.ts';
import { banningEndpoints } from './banning.ts';
import { capabilitiesEndpoints } from './capabilities.ts';
import { createRoomEndpoints } from './create-room.ts';
import { crossSigningEndpoints } from './cross-signing.ts';
import { deviceManagementEndpoints } from './device-management.ts';
import { directoryEndpoints } from './directory.ts';
import { eventContextEndpoints } from './event-context.ts';
import { fallbackPageEndpoints } from './fallback-pages.ts';
import { federationWhitelistEndpoints } from './federation-whitelist.ts';
import { filterEndpoints } from './filter.ts';
import { invitingEndpoints } from './inviting.ts';
import { joiningEndpoints } from './joining.ts';
import { keyBackupEndpoints } from './key-backup.ts';
import { keysEndpoints } from './keys.ts';
import { kickingEndpoints } from './kicking.ts';
import { knockingEndpoints } from './knocking.ts';
import { leavingEndpoints } from './leaving.ts';
import { listJoinedRoomsEndpoints } from './list-joined-rooms.ts';
import { listPublicRoomsEndpoints } from './list-public-rooms.ts';
import { loginEndpoints } from './login.ts';
import { loginTokenEndpoints } from './login-token.ts';
import { logoutEndpoints } from './logout.ts';
import { messagePaginationEndpoints } from './message-pagination.ts';
import { mutualRoomsEndpoints } from './mutual-rooms.ts';
import { notificationEndpoints } from './notifications.ts';
import { oldSyncEndpoints } from './old-sync.ts';
import { openidEndpoints } from './openid.ts';
import { passwordManagementEndpoints } from './password-management.ts';
import { presenceEndpoints } from './presence.ts';
import { profileEndpoints } from './profile.ts';
import { pushruleEndpoints } from './pushrules.ts';
import { readMarkerEndpoints } from './read-markers.ts';
import { receiptEndpoints } from './receipts.ts';
import { redactionEndpoints } from './redaction.ts';
import { refreshEndpoints } from './refresh.ts';
import { registrationEndpoints } from './registration.ts';
import { registrationTokensEndpoints } from './registration-tokens.ts';
import { relationsEndpoints } from './relations.ts';
import { reportContentEndpoints } from './report-content.ts';
import { roomEventByTimestampEndpoints } from './room-event-by-timestamp.ts';
import { roomInitialSyncEndpoints } from './room-initial-sync.ts';
import { roomSendEndpoints } from './room-send.ts';
import { roomStateEndpoints } from './room-state.ts';
import { roomSummaryEndpoints } from './room-summary.ts';
import { roomUpgradesEndpoints } from './room-upgrades.ts';
import { roomsEndpoints } from './rooms.ts';
import { searchEndpoints } from './search.ts';
import { spaceHierarchyEndpoints } from './space-hierarchy.ts';
import { syncEndpoints } from './sync.ts';
import { tagEndpoints } from './tags.ts';
import { thirdPartyLookupEndpoints } from './third-party-lookup.ts';
import { threadsListEndpoints } from './threads-list.ts';
import { toDeviceEndpoints } from './to-device.ts';
import { typingEndpoints } from './typing.ts';
import { userEndpoints } from './users.ts';
import { versionsEndpoints } from './versions.ts';
import { voipEndpoints } from './voip.ts';
import { whoamiEndpoints } from './whoami.ts';

const modules = [
  accountDataEndpoints,
  accountDeactivationEndpoints,
  adminAccountEndpoints,
  banningEndpoints,
  capabilitiesEndpoints,
  createRoomEndpoints,
  crossSigningEndpoints,
  deviceManagementEndpoints,
  directoryEndpoints,
  eventContextEndpoints,
  fallbackPageEndpoints,
  federationWhitelistEndpoints,
  filterEndpoints,
  invitingEndpoints,
  joiningEndpoints,
  keyBackupEndpoints,
  keysEndpoints,
  kickingEndpoints,
  knockingEndpoints,
  leavingEndpoints,
  listJoinedRoomsEndpoints,
  listPublicRoomsEndpoints,
  loginEndpoints,
  loginTokenEndpoints,
  logoutEndpoints,
  messagePaginationEndpoints,
  notificationEndpoints,
  mutualRoomsEndpoints,
  oldSyncEndpoints,
  openidEndpoints,
  passwordManagementEndpoints,
  presenceEndpoints,
  profileEndpoints,
  pushruleEndpoints,
  readMarkerEndpoints,
  receiptEndpoints,
  redactionEndpoints,
  refreshEndpoints,
  registrationEndpoints,
  relationsEndpoints,
  registrationTokensEndpoints,
  reportContentEndpoints,
  roomEventByTimestampEndpoints,
  roomInitialSyncEndpoints,
  roomSendEndpoints,
  roomStateEndpoints,
  roomsEndpoints,
  roomSummaryEndpoints,
  roomUpgradesEndpoints,
  spaceHierarchyEndpoints,
  searchEndpoints,
  syncEndpoints,
  tagEndpoints,
  threadsListEndpoints,
  thirdPartyLookupEndpoints,
  toDeviceEndpoints,
  typingEndpoints,
  userEndpoints,
  versionsEndpoints,
  voipEndpoints,
  whoamiEndpoints,
] as const;

/** Everything that some module uses. */
export type ClientServices = (typeof modules)[number] extends (services: infer S) => Endpoint[] ? S : never;

export const clientEndpoints = (services: ClientServices): Endpoint[] => modules.flatMap((module) => module(services));
