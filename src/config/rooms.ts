/** The section "Rooms": how rooms are made, listed and kept. */
import { findRoomRules } from '../core/room-versions.ts';
import { plainValue, problem } from './given.ts';
import { key, section } from './key.ts';
import {
  anyMap,
  boolean,
  duration,
  integer,
  type Kind,
  list,
  mapOf,
  number,
  object,
  oneOf,
  orNull,
  text,
  textOrNumber,
} from './kinds.ts';

const roomVersion: Kind<string> = {
  words: 'a room version from 1 to 12',
  takesNull: false,
  read(given, context) {
    const version = textOrNumber.read(given, context);
    if (findRoomRules(version) === undefined) throw problem(given.place, 'must be a room version from 1 to 12.');
    return version;
  },
};

/** An event type of the stripped state; `stateKey` null stands for all. */
export type PrejoinStateType = { readonly type: string; readonly stateKey: string | null };

const prejoinStateType: Kind<PrejoinStateType> = {
  words: 'an event type, or [type, state_key]',
  takesNull: false,
  read(given, context) {
    if (given.kind === 'scalar') return { type: text.read(given, context), stateKey: null };
    const [type, stateKey] = list(text).read(given, context);
    if (type === undefined || stateKey === undefined)
      throw problem(given.place, 'must be a type, or a pair [type, state_key].');
    return { type, stateKey };
  },
};

/** A rule that is tried in order; `*` in its patterns stands for any text. */
const accessRule = object({
  userId: { yaml: 'user_id', kind: text, fallback: { value: '*' }, help: '' },
  alias: { yaml: 'alias', kind: text, fallback: { value: '*' }, help: '' },
  roomId: { yaml: 'room_id', kind: text, fallback: { value: '*' }, help: '' },
  action: { yaml: 'action', kind: oneOf('allow', 'deny'), fallback: { value: 'allow' as const }, help: '' },
});
const allowAll = [{ userId: '*', alias: '*', roomId: '*', action: 'allow' as const }];

/** Content keys of `m.room.power_levels`, taken as they stand. */
const powerLevels: Kind<Readonly<Record<string, unknown>> | null> = orNull({
  words: 'content of m.room.power_levels',
  takesNull: false,
  read: (given, context) => plainValue(anyMap.read(given, context)) as Readonly<Record<string, unknown>>,
});

export const roomsSection = section('Rooms', 'How rooms are made, listed and kept.', {
  defaultRoomVersion: key('default_room_version', roomVersion, '12', 'Version of new rooms.'),
  encryptionByDefault: key(
    'encryption_enabled_by_default_for_room_type',
    oneOf('all', 'invite', 'off', false),
    'off',
    'Which new rooms are encrypted: all, invite (private ones) or off.',
  ),
  powerLevelContentOverride: key(
    'default_power_level_content_override',
    mapOf(powerLevels),
    {},
    'Power levels of new rooms, by preset.',
  ),
  disableDefaultPrejoinState: key(
    'room_prejoin_state.disable_default_event_types',
    boolean,
    false,
    'Do not show invitees the usual state of a room.',
  ),
  additionalPrejoinState: key(
    'room_prejoin_state.additional_event_types',
    list(prejoinStateType),
    [],
    'Further state that invitees see: a type, or a pair [type, state_key].',
  ),
  aliasCreationRules: key(
    'alias_creation_rules',
    list(accessRule),
    allowAll,
    'Who may make aliases. The first match decides; none: denied.',
  ),
  publicationRules: key(
    'room_list_publication_rules',
    list(accessRule),
    [],
    'Who may list rooms in the public directory. The first match decides; none: denied.',
  ),
  requireMembershipForAliases: key(
    'require_membership_for_aliases',
    boolean,
    true,
    'Only members may make aliases of a room.',
  ),
  allowPublicRoomsWithoutAuth: key(
    'allow_public_rooms_without_auth',
    boolean,
    false,
    'Anybody may read the room directory.',
  ),
  allowPublicRoomsOverFederation: key(
    'allow_public_rooms_over_federation',
    boolean,
    false,
    'Other servers may read the room directory.',
  ),
  enableRoomListSearch: key('enable_room_list_search', boolean, true, 'Serve the room directory at all.'),
  blockNonAdminInvites: key('block_non_admin_invites', boolean, false, 'Only server admins may invite.'),
  forgetRoomsOnLeave: key('forget_rooms_on_leave', boolean, false, 'Leaving a room forgets it too.'),
  forgottenRoomRetentionMs: key(
    'forgotten_room_retention_period',
    orNull(duration),
    null,
    'Rooms that all local users forgot are purged after this time; null keeps them.',
  ),
  filterTimelineLimit: key(
    'filter_timeline_limit',
    integer(-1),
    100,
    'Most events a filter may ask for; -1: no limit.',
  ),
  dummyEventsThreshold: key(
    'dummy_events_threshold',
    integer(1),
    10,
    'Forward extremities of a room from which a dummy event joins them.',
  ),
  redactionRetentionMs: key(
    'redaction_retention_period',
    orNull(duration),
    604_800_000,
    'Content of redacted events is deleted after this time; null keeps it.',
  ),
  refusesComplexRooms: key('limit_remote_rooms.enabled', boolean, false, 'Refuse to join rooms that are too complex.'),
  roomComplexityMax: key(
    'limit_remote_rooms.complexity',
    number,
    1,
    'The limit: current state events, divided by 500.',
  ),
  roomComplexityError: key(
    'limit_remote_rooms.complexity_error',
    text,
    'Your homeserver is unable to join rooms this large or complex. Please speak to your server administrator.',
    'What a user is told then.',
  ),
  mayAdminsJoinComplexRooms: key('limit_remote_rooms.admins_can_join', boolean, false, 'Server admins may join them.'),
  excludeFromSync: key('exclude_rooms_from_sync', list(text), [], 'Room IDs that never appear in sync.'),
});
