/**
 * Replacing a room by one of another version: the new one begins with what the old one was, and the old one is closed.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
import { badRequest, forbidden } from '../core/errors.ts';
import type { RoomId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { creatorsOf, type PowerLevels, readPowerLevels } from '../core/power-levels.ts';
import { findRoomRules, type RoomRules } from '../core/room-versions.ts';
import type { Log } from '../kit/log.ts';
import type { Draft } from '../rooms/append.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Database } from '../storage/database.ts';
import { findRoom, setPublished } from '../storage/events.ts';
import { moveAliases } from '../storage/room-aliases.ts';
import { type Asker, type Limits, roomOfMember } from './asker.ts';
import type { MemberProfile } from './membership.ts';
import type { RoomRef } from './published-rooms.ts';
import type { RoomDirectory } from './room-directory.ts';
import type { RoomSuccession } from './room-succession.ts';
import { closedLevels, successorLevels } from './upgraded-power-levels.ts';

export type RoomUpgradesDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly succession: RoomSuccession;
  readonly directory: RoomDirectory;
  readonly limits: Limits;
  readonly profileOf: (userId: UserId) => Promise<MemberProfile>;
  readonly log: Log;
};

/** State that the successor has as the old room had it, in the order of a new room's state. */
const CARRIED_OVER = [
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.encryption',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.server_acl',
  'm.room.retention',
] as const;
/** How many bans and space children travel in one commit, and how many bans at all. */
const BATCH = 200;
const BANS_MAX = 10_000;

/** What is asked for in an upgrade. */
export type UpgradeWish = { readonly version: string; readonly additionalCreators: readonly UserId[] };

type RunningUpgrade = { readonly userId: UserId; readonly version: string; readonly done: Promise<RoomId> };

export class RoomUpgrades {
  readonly #deps: RoomUpgradesDeps;
  readonly #running = new Map<RoomId, RunningUpgrade>();

  constructor(deps: RoomUpgradesDeps) {
    this.#deps = deps;
  }

  /**
   * Makes a room's successor and points to it from the old room; gives the successor's ID. Aliases of this server and the
   * place in the directory move along.
   *
   * @throws MatrixError 400 M_UNSUPPORTED_ROOM_VERSION; 403 for who is not in the room or may not send its tombstone; 400
   * M_UNKNOWN while somebody else replaces it
   */
  async upgrade(asker: Asker, roomId: RoomId, wish: UpgradeWish): Promise<RoomId> {
    const running = this.#running.get(roomId);
    if (running === undefined) {
      const done = this.#upgrade(asker, roomId, wish).finally(() => this.#running.delete(roomId));
      this.#running.set(roomId, { userId: asker.userId, version: wish.version, done });
      return done;
    }
    // Who asks twice gets one successor.
    if (running.userId === asker.userId && running.version === wish.version) return running.done;
    await this.#checkMayReplace(asker, roomId);
    throw badRequest('M_UNKNOWN', 'Somebody else is replacing this room just now.');
  }

  async #checkMayReplace(asker: Asker, roomId: RoomId): Promise<LiveRoom> {
    const live = await roomOfMember(this.#deps.rooms, roomId);
    if (live.membershipOf(asker.userId) !== 'join') throw forbidden('You are not in this room.');
    const levels = await this.#levelsOf(live);
    if (levels.levelOf(asker.userId) < levels.needed('m.room.tombstone', true)) {
      throw forbidden('You may not replace this room: that takes the power to send its tombstone.');
    }
    return live;
  }

  async #upgrade(asker: Asker, roomId: RoomId, wish: UpgradeWish): Promise<RoomId> {
    const { db, rooms, limits, succession, directory } = this.#deps;
    const rules = findRoomRules(wish.version);
    if (rules === undefined) {
      throw badRequest('M_UNSUPPORTED_ROOM_VERSION', `This server does not know the room version ${wish.version}.`);
    }
    const live = await this.#checkMayReplace(asker, roomId);
    limits.spend('roomCreation', asker.userId);
    const { drafts, later } = await this.#successorDrafts(asker.userId, live, rules, wish.additionalCreators);
    const { isPublished } = (await findRoom(db, roomId))!;
    let successor: RoomRef | null = null;
    const [create] = await rooms.create(rules, drafts, (room) => {
      successor = room;
      return [
        moveAliases(live.roomNo, room.roomNo),
        ...(isPublished ? [setPublished(live.roomNo, false), setPublished(room.roomNo, true)] : []),
      ];
    });
    if (isPublished && successor !== null) {
      directory.noteListed(live, false);
      directory.noteListed(successor);
    }
    const replacement = create!.pdu.roomId;
    for (let from = 0; from < later.length; from += BATCH)
      await rooms.send(replacement, later.slice(from, from + BATCH));
    await this.#close(asker.userId, live, replacement);
    await succession.follow(asker.userId, await rooms.get(replacement));
    return replacement;
  }

  async #levelsOf(live: LiveRoom): Promise<PowerLevels> {
    const { reader } = this.#deps;
    const create = await reader.stateEvent(live, 'm.room.create', '');
    const event = await reader.stateEvent(live, 'm.room.power_levels', '');
    if (create === null) throw forbidden('You are not in this room.');
    return readPowerLevels(live.rules, create.pdu, event?.pdu);
  }

  /** What the successor begins with, in one commit, and what follows in further ones. */
  async #successorDrafts(
    sender: UserId,
    live: LiveRoom,
    rules: RoomRules,
    additionalCreators: readonly UserId[],
  ): Promise<{ drafts: Draft[]; later: Draft[] }> {
    const { reader } = this.#deps;
    const draft = (type: string, content: JsonObject, stateKey = ''): Draft => ({ type, stateKey, sender, content });
    const state = await reader.currentState(live);
    const contentOf = (type: string): JsonObject | null => {
      const event = state.find(({ pdu }) => pdu.type === type && pdu.stateKey === '');
      return event === undefined ? null : shownContent(event);
    };
    const old = state.find(({ pdu }) => pdu.type === 'm.room.create')!;
    const others = rules.creatorsArePrivileged ? additionalCreators.filter((userId) => userId !== sender) : [];
    const levels = successorLevels(
      { rules: live.rules, content: contentOf('m.room.power_levels') ?? {}, creators: creatorsOf(live.rules, old.pdu) },
      { rules, creators: [sender, ...others] },
    );
    const carried = CARRIED_OVER.flatMap((type) => {
      const content = contentOf(type);
      return content === null
        ? []
        : [draft(type, type === 'm.room.join_rules' ? joinRulesFor(rules, content) : content)];
    });
    const alias = contentOf('m.room.canonical_alias');
    return {
      drafts: [
        draft('m.room.create', this.#createContent(live, old, rules, sender, others)),
        draft('m.room.member', { ...(await this.#deps.profileOf(sender)), membership: 'join' }, sender),
        draft('m.room.power_levels', levels.first),
        ...carried,
        // It may name aliases of other servers, which do not lead here yet; ours do from this commit on.
        ...(alias === null || Object.keys(alias).length === 0 ? [] : [draft('m.room.canonical_alias', alias)]),
      ],
      later: [
        ...state.flatMap(({ pdu }) => childOf(pdu.type, pdu.stateKey, pdu.content, draft)),
        ...state.flatMap((event) => banOf(event, draft)).slice(0, BANS_MAX),
        ...(levels.last === null ? [] : [draft('m.room.power_levels', levels.last)]),
      ],
    };
  }

  #createContent(
    live: LiveRoom,
    old: StoredEvent,
    rules: RoomRules,
    sender: UserId,
    others: readonly UserId[],
  ): JsonObject {
    const { creator: _, room_version: __, predecessor: ___, additional_creators: ____, ...rest } = old.pdu.content;
    const [newest] = [...live.extremities].sort(([, a], [, b]) => b.depth - a.depth)[0] ?? [old.eventId];
    return {
      ...rest,
      ...(others.length === 0 ? {} : { additional_creators: [...others] }),
      ...(rules.creatorFrom === 'content' ? { creator: sender } : {}),
      room_version: rules.version,
      // Where the create event names the room, the rooms form a chain without it (MSC4291).
      predecessor: { room_id: live.roomId, ...(rules.roomIdIsCreateHash ? {} : { event_id: newest }) },
    };
  }

  /** Points from the old room to its successor, takes its main alias away, and lets members speak there no more. */
  async #close(sender: UserId, live: LiveRoom, replacement: RoomId): Promise<void> {
    const { rooms, reader, log } = this.#deps;
    const content = { body: 'This room has been replaced', replacement_room: replacement };
    await rooms.send(live.roomId, [{ type: 'm.room.tombstone', stateKey: '', sender, content }]);
    const alias = await reader.stateEvent(live, 'm.room.canonical_alias', '');
    const levels = await reader.stateEvent(live, 'm.room.power_levels', '');
    const further: Draft[] = [];
    if (alias !== null && Object.keys(shownContent(alias)).length > 0) {
      further.push({ type: 'm.room.canonical_alias', stateKey: '', sender, content: {} });
    }
    if (levels !== null) {
      const closed = closedLevels(live.rules, shownContent(levels));
      if (closed !== null) further.push({ type: 'm.room.power_levels', stateKey: '', sender, content: closed });
    }
    for (const draft of further) {
      try {
        await rooms.send(live.roomId, [draft]);
      } catch (error) {
        // Who may send a tombstone need not have the power for this; the room is replaced all the same.
        log.info('An upgraded room could not be closed altogether.', { roomId: live.roomId, type: draft.type, error });
      }
    }
  }
}

/** Join rules that the new version knows; what it does not know would lock everybody out or let everybody in. */
function joinRulesFor(rules: RoomRules, content: JsonObject): JsonObject {
  const rule = content['join_rule'];
  if (rule === 'restricted' && !rules.allowsRestricted) return { join_rule: 'invite' };
  if (rule === 'knock' && !rules.allowsKnock) return { join_rule: 'invite' };
  if (rule === 'knock_restricted' && !rules.allowsKnockRestricted) {
    return rules.allowsRestricted ? { ...content, join_rule: 'restricted' } : { join_rule: 'invite' };
  }
  return content;
}

type DraftOf = (type: string, content: JsonObject, stateKey: string) => Draft;

/** A space keeps its children; a child without servers to go by is none. */
function childOf(type: string, stateKey: string | null, content: JsonObject, draft: DraftOf): Draft[] {
  if (type !== 'm.space.child' && type !== 'm.space.parent') return [];
  return stateKey === null || !Array.isArray(content['via']) ? [] : [draft(type, content, stateKey)];
}

function banOf(event: StoredEvent, draft: DraftOf): Draft[] {
  const { type, stateKey } = event.pdu;
  const { membership, reason } = shownContent(event);
  if (type !== 'm.room.member' || stateKey === null || membership !== 'ban') return [];
  return [draft(type, { membership, ...(typeof reason === 'string' ? { reason } : {}) }, stateKey)];
}
