/**
 * Room versions 1 to 12 as one table of switches. What differs between versions is a switch here and never a
 * comparison of version numbers elsewhere.
 * Spec v1.19: https://spec.matrix.org/v1.19/rooms/
 */

export type RoomVersion = '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9' | '10' | '11' | '12';

/** Which content and top-level keys redaction keeps: the first room version that had the set. */
export type RedactionRules = 'v1' | 'v6' | 'v8' | 'v9' | 'v11';

export type RoomRules = {
  readonly version: RoomVersion;
  readonly stateResolution: 'v1' | 'v2' | 'v2.1';
  /** `in-event`: chosen by the sender; `base64`, `base64url`: from the reference hash. */
  readonly eventIdFormat: 'in-event' | 'base64' | 'base64url';
  /** True where `prev_events` and `auth_events` are `[id, hashes]` pairs. */
  readonly hasEventReferencePairs: boolean;
  /** True where the room ID is the create event's ID with `!`, and the create event carries no `room_id`. */
  readonly roomIdIsCreateHash: boolean;
  readonly enforcesKeyValidity: boolean;
  readonly enforcesCanonicalJson: boolean;
  /**
   * True where the graphs of rooms hold events whose type or state key has up to 255 characters but more bytes than that:
   * servers counted so for years. They are rejected, but not dropped, so that what follows them has its place.
   */
  readonly keepsLongKeys: boolean;
  readonly depthMax: number;
  readonly powerLevelsMayBeStrings: boolean;
  readonly powerLevelsMayBeFloats: boolean;
  readonly hasAliasesAuthRule: boolean;
  readonly hasRedactionAuthRule: boolean;
  readonly checksNotificationLevels: boolean;
  readonly allowsKnock: boolean;
  readonly allowsRestricted: boolean;
  readonly allowsKnockRestricted: boolean;
  /** Who created the room: `content.creator`, the create event's `sender`, or the sender and `additional_creators`. */
  readonly creatorFrom: 'content' | 'sender' | 'sender-and-additional';
  /** True where creators stand above every power level. */
  readonly creatorsArePrivileged: boolean;
  readonly redactsIn: 'top-level' | 'content';
  readonly redaction: RedactionRules;
};

const V1: RoomRules = {
  version: '1',
  stateResolution: 'v1',
  eventIdFormat: 'in-event',
  hasEventReferencePairs: true,
  roomIdIsCreateHash: false,
  enforcesKeyValidity: false,
  enforcesCanonicalJson: false,
  keepsLongKeys: true,
  // 2^63-1 cannot be held in a double; depths above 2^53-1 are clamped when read.
  depthMax: 2 ** 63,
  powerLevelsMayBeStrings: true,
  powerLevelsMayBeFloats: true,
  hasAliasesAuthRule: true,
  hasRedactionAuthRule: true,
  checksNotificationLevels: false,
  allowsKnock: false,
  allowsRestricted: false,
  allowsKnockRestricted: false,
  creatorFrom: 'content',
  creatorsArePrivileged: false,
  redactsIn: 'top-level',
  redaction: 'v1',
};
const V2: RoomRules = { ...V1, version: '2', stateResolution: 'v2' };
const V3: RoomRules = {
  ...V2,
  version: '3',
  eventIdFormat: 'base64',
  hasEventReferencePairs: false,
  hasRedactionAuthRule: false,
};
const V4: RoomRules = { ...V3, version: '4', eventIdFormat: 'base64url' };
const V5: RoomRules = { ...V4, version: '5', enforcesKeyValidity: true };
const V6: RoomRules = {
  ...V5,
  version: '6',
  enforcesCanonicalJson: true,
  depthMax: Number.MAX_SAFE_INTEGER,
  powerLevelsMayBeFloats: false,
  hasAliasesAuthRule: false,
  checksNotificationLevels: true,
  redaction: 'v6',
};
const V7: RoomRules = { ...V6, version: '7', allowsKnock: true };
const V8: RoomRules = { ...V7, version: '8', allowsRestricted: true, redaction: 'v8' };
const V9: RoomRules = { ...V8, version: '9', redaction: 'v9' };
const V10: RoomRules = { ...V9, version: '10', powerLevelsMayBeStrings: false, allowsKnockRestricted: true };
const V11: RoomRules = {
  ...V10,
  version: '11',
  keepsLongKeys: false,
  creatorFrom: 'sender',
  redactsIn: 'content',
  redaction: 'v11',
};
const V12: RoomRules = {
  ...V11,
  version: '12',
  stateResolution: 'v2.1',
  roomIdIsCreateHash: true,
  creatorFrom: 'sender-and-additional',
  creatorsArePrivileged: true,
};

/** Every room version that we know, by its name on the wire. */
export const ROOM_RULES: ReadonlyMap<string, RoomRules> = new Map(
  [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12].map((rules) => [rules.version, rules]),
);

/** The rules of a room version, or undefined where we do not know it. */
export function findRoomRules(version: string): RoomRules | undefined {
  return ROOM_RULES.get(version);
}
