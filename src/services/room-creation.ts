/**
 * Making rooms: everything that a new room begins with, in the specification's order and in one commit.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#creation
 */
import type { Config } from '../config/config.ts';
import { badJson, badRequest, forbidden, invalidParam, MatrixError } from '../core/errors.ts';
import type { RoomAlias, RoomId, UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { findRoomRules, type RoomRules } from '../core/room-versions.ts';
import type { Draft } from '../rooms/append.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { UniqueViolation } from '../storage/database.ts';
import { setPublished } from '../storage/events.ts';
import { type Aliases, roomInUse } from './aliases.ts';
import type { Asker, Limits } from './asker.ts';
import type { MemberProfile, Membership } from './membership.ts';
import type { RoomRef } from './published-rooms.ts';
import type { RemoteInvites } from './remote-invites.ts';
import type { RoomDirectory } from './room-directory.ts';

export type RoomCreationDeps = {
  readonly rooms: Rooms;
  readonly aliases: Aliases;
  readonly membership: Membership;
  readonly directory: RoomDirectory;
  readonly remoteInvites: RemoteInvites;
  readonly limits: Limits;
  readonly config: Config['rooms'];
  readonly isLocal: (userId: UserId) => boolean;
  readonly profileOf: (userId: UserId) => Promise<MemberProfile>;
  /** What follows when a user of ours has come into a room. */
  readonly onJoined: (userId: UserId, live: LiveRoom) => Promise<void>;
  readonly log: { info(message: string, fields?: object): void };
};

export type Preset = 'private_chat' | 'public_chat' | 'trusted_private_chat';

export type InitialState = { readonly type: string; readonly stateKey: string; readonly content: JsonObject };

/** What a client asks of a new room. */
export type RoomWishes = {
  readonly visibility: 'public' | 'private';
  readonly preset?: Preset;
  readonly roomVersion?: string;
  /** The local part of an alias. */
  readonly aliasName?: string;
  readonly name?: string;
  readonly topic?: string;
  readonly invite: readonly UserId[];
  readonly isDirect: boolean;
  readonly creationContent: JsonObject;
  readonly initialState: readonly InitialState[];
  /** Keys of the power levels event that replace ours. */
  readonly powerLevels: JsonObject;
};

type PresetFacts = {
  readonly joinRule: 'public' | 'invite';
  readonly guestAccess: 'can_join' | 'forbidden';
  /** The level needed to invite. */
  readonly inviteLevel: number;
  readonly isPrivate: boolean;
};

const PRESETS: Readonly<Record<Preset, PresetFacts>> = {
  private_chat: { joinRule: 'invite', guestAccess: 'can_join', inviteLevel: 0, isPrivate: true },
  trusted_private_chat: { joinRule: 'invite', guestAccess: 'can_join', inviteLevel: 0, isPrivate: true },
  public_chat: { joinRule: 'public', guestAccess: 'forbidden', inviteLevel: 50, isPrivate: false },
};

/** Each waits for another server, and makes a branch of the room's graph. */
const INVITES_AT_ONCE = 5;
const OWNER_LEVEL = 100;
/** Above every level that a creator can hand out by default: only creators replace a room whose creators stay above all. */
const TOMBSTONE_LEVEL_V12 = 150;

export class RoomCreation {
  readonly #deps: RoomCreationDeps;

  constructor(deps: RoomCreationDeps) {
    this.#deps = deps;
  }

  /**
   * Makes a room. All its events are committed at once, or none.
   *
   * @throws MatrixError 400 M_UNSUPPORTED_ROOM_VERSION, M_ROOM_IN_USE, M_INVALID_ROOM_STATE; 403 where an invite or the
   * alias is not allowed
   */
  async create(asker: Asker, wishes: RoomWishes): Promise<RoomId> {
    const { rooms, aliases, membership, directory, limits, config, isLocal } = this.#deps;
    const version = wishes.roomVersion ?? config.defaultRoomVersion;
    const rules = findRoomRules(version);
    if (rules === undefined) {
      throw badRequest('M_UNSUPPORTED_ROOM_VERSION', `This server does not know the room version ${version}.`);
    }
    const invitees = [...new Set(wishes.invite)];
    if (invitees.includes(asker.userId)) throw forbidden('Who makes a room is in it and cannot be invited.');
    const others = invitees.filter((userId) => !isLocal(userId));
    if (others.length > 0 && wishes.creationContent['m.federate'] === false) {
      throw forbidden('Users of other servers cannot be invited into a room that does not federate.');
    }
    if (invitees.length > 0) {
      await membership.checkInvite(asker, invitees);
      limits.spend('invitesPerIssuer', asker.userId, invitees.length);
    }
    const alias = wishes.aliasName === undefined ? null : aliases.fromLocalpart(wishes.aliasName);
    if (alias !== null) await aliases.checkForNewRoom(asker, alias);
    const drafts = await this.#drafts(asker, rules, wishes, invitees, alias);
    let listed: RoomRef | null = null;
    try {
      const [create] = await rooms.create(rules, drafts, (room) => {
        const subject = { userId: asker.userId, roomId: room.roomId, aliases: alias === null ? [] : [alias] };
        // A room that may not be listed is made all the same, only unlisted.
        const isListed = wishes.visibility === 'public' && directory.mayPublish(subject);
        if (isListed) listed = room;
        return [
          ...(alias === null ? [] : [aliases.statementFor(alias, room.roomNo, asker.userId)]),
          ...(isListed ? [setPublished(room.roomNo, true)] : []),
        ];
      });
      if (listed !== null) directory.noteListed(listed);
      const { roomId } = create!.pdu;
      const live = await rooms.get(roomId);
      await this.#deps.onJoined(asker.userId, live);
      await this.#inviteOthers(asker.userId, live, others, wishes.isDirect);
      return roomId;
    } catch (error) {
      if (error instanceof UniqueViolation && alias !== null) throw roomInUse(alias);
      if (error instanceof MatrixError && error.errcode === 'M_FORBIDDEN') {
        throw badRequest('M_INVALID_ROOM_STATE', `The room cannot begin like this. ${error.message}`);
      }
      throw error;
    }
  }

  async #drafts(
    asker: Asker,
    rules: RoomRules,
    wishes: RoomWishes,
    invitees: readonly UserId[],
    alias: RoomAlias | null,
  ): Promise<Draft[]> {
    const { isLocal } = this.#deps;
    const sender = asker.userId;
    const preset = wishes.preset ?? (wishes.visibility === 'public' ? 'public_chat' : 'private_chat');
    const state = (type: string, content: JsonObject, stateKey = ''): Draft => ({ type, stateKey, sender, content });
    const given = wishes.initialState.map(({ type, stateKey, content }) => state(type, content, stateKey));
    // What the client sets itself is not set twice.
    const isGiven = (type: string): boolean => given.some((draft) => draft.type === type && draft.stateKey === '');
    const byPreset = presetState(preset, this.#deps.config.encryptionByDefault).filter(([type]) => !isGiven(type));
    const levels = given.find((draft) => draft.type === 'm.room.power_levels' && draft.stateKey === '');
    const replaced = new Set([
      'm.room.power_levels',
      ...(wishes.name === undefined ? [] : ['m.room.name']),
      ...(wishes.topic === undefined ? [] : ['m.room.topic']),
    ]);
    const others = given.filter((draft) => draft.stateKey !== '' || !replaced.has(draft.type));
    return [
      state('m.room.create', createContent(rules, sender, wishes, preset, invitees)),
      state('m.room.member', { ...(await this.#deps.profileOf(sender)), membership: 'join' }, sender),
      levels ?? state('m.room.power_levels', this.#powerLevels(rules, sender, wishes, preset, invitees)),
      ...(alias === null ? [] : [state('m.room.canonical_alias', { alias })]),
      ...byPreset.map(([type, content]) => state(type, content)),
      ...others,
      ...(wishes.name === undefined ? [] : [state('m.room.name', { name: wishes.name })]),
      ...(wishes.topic === undefined ? [] : [state('m.room.topic', topicContent(wishes.topic))]),
      ...(await this.#invites(sender, invitees.filter(isLocal), wishes.isDirect)),
    ];
  }

  /**
   * Invites users of other servers, whose servers must sign. The room is there whatever becomes of that: a server that
   * does not answer takes it from nobody.
   */
  async #inviteOthers(sender: UserId, live: LiveRoom, others: readonly UserId[], isDirect: boolean): Promise<void> {
    const { remoteInvites, log } = this.#deps;
    const content = { membership: 'invite', ...(isDirect ? { is_direct: true } : {}) };
    for (let start = 0; start < others.length; start += INVITES_AT_ONCE) {
      const some = others.slice(start, start + INVITES_AT_ONCE);
      await Promise.all(
        some.map(async (target) => {
          try {
            await remoteInvites.send(live, { sender, target, content });
          } catch (error) {
            if (!(error instanceof MatrixError)) throw error;
            log.info('An invite into a new room failed.', {
              roomId: live.roomId,
              userId: target,
              reason: error.message,
            });
          }
        }),
      );
    }
  }

  async #invites(sender: UserId, invitees: readonly UserId[], isDirect: boolean): Promise<Draft[]> {
    const profiles = await Promise.all(invitees.map((userId) => this.#deps.profileOf(userId)));
    return invitees.map((userId, index) => ({
      type: 'm.room.member',
      stateKey: userId,
      sender,
      content: { ...profiles[index], membership: 'invite', ...(isDirect ? { is_direct: true } : {}) },
    }));
  }

  #powerLevels(
    rules: RoomRules,
    creator: UserId,
    wishes: RoomWishes,
    preset: Preset,
    invitees: readonly UserId[],
  ): JsonObject {
    const users: Record<string, number> = {};
    // Creators who stand above all levels must not be named.
    if (!rules.creatorsArePrivileged) {
      users[creator] = OWNER_LEVEL;
      if (preset === 'trusted_private_chat') for (const userId of invitees) users[userId] = OWNER_LEVEL;
    }
    const ours: JsonObject = {
      users,
      users_default: 0,
      events: {
        'm.room.name': 50,
        'm.room.avatar': 50,
        'm.room.canonical_alias': 50,
        'm.room.power_levels': 100,
        'm.room.history_visibility': 100,
        'm.room.encryption': 100,
        'm.room.server_acl': 100,
        'm.room.tombstone': rules.creatorsArePrivileged ? TOMBSTONE_LEVEL_V12 : 100,
      },
      events_default: 0,
      state_default: 50,
      ban: 50,
      kick: 50,
      redact: 50,
      invite: PRESETS[preset].inviteLevel,
    };
    const byPreset: Readonly<Record<string, object | null>> = this.#deps.config.powerLevelContentOverride;
    // The configuration was read from YAML, which has nothing that JSON has not.
    const ofConfig = (byPreset[preset] ?? {}) as JsonObject;
    return { ...ours, ...ofConfig, ...wishes.powerLevels };
  }
}

function createContent(
  rules: RoomRules,
  creator: UserId,
  wishes: RoomWishes,
  preset: Preset,
  invitees: readonly UserId[],
): JsonObject {
  const { creator: _, room_version: __, additional_creators: named, ...rest } = wishes.creationContent;
  return {
    ...rest,
    ...additionalCreators(rules, creator, named, preset === 'trusted_private_chat' ? invitees : []),
    ...(rules.creatorFrom === 'content' ? { creator } : {}),
    room_version: rules.version,
  };
}

function additionalCreators(
  rules: RoomRules,
  creator: UserId,
  named: JsonValue | undefined,
  trusted: readonly UserId[],
): JsonObject {
  if (!rules.creatorsArePrivileged) return named === undefined ? {} : { additional_creators: named };
  if (named !== undefined && !Array.isArray(named)) throw invalidParam('additional_creators: must be a list.');
  const all = new Set<JsonValue>([...(named ?? []), ...trusted]);
  all.delete(creator);
  return all.size === 0 ? {} : { additional_creators: [...all] };
}

/** The state that a preset sets, in the specification's order. */
function presetState(
  preset: Preset,
  encryptionByDefault: Config['rooms']['encryptionByDefault'],
): (readonly [type: string, content: JsonObject])[] {
  const { joinRule, guestAccess, isPrivate } = PRESETS[preset];
  const isEncrypted = encryptionByDefault === 'all' || (encryptionByDefault === 'invite' && isPrivate);
  return [
    ['m.room.join_rules', { join_rule: joinRule }],
    ['m.room.history_visibility', { history_visibility: 'shared' }],
    ['m.room.guest_access', { guest_access: guestAccess }],
    ...(isEncrypted ? [['m.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' }] as const] : []),
  ];
}

/** A topic in its plain and its rich form. */
function topicContent(topic: string): JsonObject {
  return { topic, 'm.topic': { 'm.text': [{ body: topic }] } };
}

/** The initial state as a client wrote it. Throws 400 M_BAD_JSON for an entry that is no state event. */
export function readInitialState(entries: readonly JsonValue[]): InitialState[] {
  return entries.map((entry, index) => {
    const event = isJsonObject(entry) ? entry : {};
    const { type, content, state_key: stateKey = '' } = event;
    if (typeof type !== 'string' || typeof stateKey !== 'string' || !isJsonObject(content)) {
      throw badJson(`initial_state[${index}]: must have a type, a content and, where it has one, a state_key of text.`);
    }
    return { type, stateKey, content };
  });
}
