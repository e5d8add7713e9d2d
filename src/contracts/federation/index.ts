/** All operations that servers call at each other, by the specification's names. */
import { backfillRoom, getMissingPreviousEvents } from './backfill.ts';
import { getContent, getContentThumbnail } from './content-repository.ts';
import { getEventAuth } from './event-auth.ts';
import { getEvent, getEventByTimestamp, getRoomState, getRoomStateIds } from './events.ts';
import { sendInviteV1, sendInviteV2 } from './invites.ts';
import { makeJoin, sendJoinV2 } from './joins.ts';
import { bulkPerspectivesKeyQuery, perspectivesKeyQuery } from './keys-query.ts';
import { getServerKey } from './keys-server.ts';
import { makeKnock, sendKnock } from './knocks.ts';
import { makeLeave, sendLeaveV2 } from './leaving.ts';
import { getPublicRooms, queryPublicRooms } from './public-rooms.ts';
import { queryProfile, queryRoomDirectory } from './query.ts';
import { getRoomComplexity } from './room-complexity.ts';
import { askPolicyServerToSign } from './room-policy.ts';
import { getSpaceHierarchy } from './space-hierarchy.ts';
import { exchangeThirdPartyInvite } from './third-party-invite.ts';
import { sendTransaction } from './transactions.ts';
import { getUserDevices } from './user-devices.ts';
import { claimUserEncryptionKeys, queryUserEncryptionKeys } from './user-keys.ts';
import { getVersion } from './version.ts';

export const FEDERATION = {
  askPolicyServerToSign,
  backfillRoom,
  bulkPerspectivesKeyQuery,
  claimUserEncryptionKeys,
  exchangeThirdPartyInvite,
  getContent,
  getContentThumbnail,
  getEvent,
  getEventAuth,
  getEventByTimestamp,
  getMissingPreviousEvents,
  getPublicRooms,
  getRoomComplexity,
  getRoomState,
  getRoomStateIds,
  getServerKey,
  getSpaceHierarchy,
  getUserDevices,
  getVersion,
  makeJoin,
  makeKnock,
  makeLeave,
  perspectivesKeyQuery,
  queryProfile,
  queryPublicRooms,
  queryRoomDirectory,
  queryUserEncryptionKeys,
  sendInviteV1,
  sendInviteV2,
  sendJoinV2,
  sendKnock,
  sendLeaveV2,
  sendTransaction,
} as const;
