/**
 * Profiles of local users: name, avatar and whatever other fields they keep, and the traces of them in rooms.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#profiles
 */
import { LRUCache } from 'lru-cache';
import type { Config } from '../config/config.ts';
import { badRequest, forbidden, invalidParam, MatrixError, missingToken, notFound } from '../core/errors.ts';
import { type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { canonicalJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { Log } from '../kit/log.ts';
import { atMost } from '../kit/lru-bound.ts';
import { KeyedQueue } from '../kit/queue.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { findUser } from '../storage/accounts.ts';
import type { Database } from '../storage/database.ts';
import { findProfileText, shareRoom, upsertProfile } from '../storage/profiles.ts';
import { listMembershipsOfUser } from '../storage/room-state.ts';
import { upsertUserChange } from '../storage/user-directory.ts';
import type { Stream } from '../stream/stream.ts';
import type { Asker } from './asker.ts';
import { isSameContent, type MemberProfile } from './membership.ts';
import type { RemoteProfiles } from './remote-profiles.ts';

export type ProfilesDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly log: Log;
  readonly serverName: ServerName;
  readonly remote: RemoteProfiles;
  readonly config: Pick<Config['profiles'], 'requireAuth' | 'limitToSharedRooms' | 'allowLookupOverFederation'> &
    Pick<Config['registration'], 'maySetDisplayName' | 'maySetAvatarUrl'>;
};

const KEY_BYTES_MAX = 255;
const PROFILE_BYTES_MAX = 65_536;
const DISPLAYNAME_CHARS_MAX = 256;
const AVATAR_URL_CHARS_MAX = 1000;
/** The specification's field, and what it was called before. */
const TIME_ZONES = new Set(['m.tz', 'us.cloke.msc4175.tz']);
/** The common namespaced identifier grammar. */
const KEY = /^[a-z][a-z0-9._-]*$/;

const PROFILES_MAX = 20_000;
/** In how many rooms at once a new name is told: a user in thousands of rooms must not fill every queue. */
const ROOMS_AT_ONCE = 8;
/** Keys of a member event that belong to the join that it told of, not to the user's stay in the room. */
const OF_THE_JOIN = new Set(['reason', 'third_party_invite', 'join_authorised_via_users_server', 'is_direct']);

export class Profiles {
  readonly #deps: ProfilesDeps;
  readonly #cache = new LRUCache<UserId, JsonObject>(atMost(PROFILES_MAX));
  /** A profile is read and written as one: two changes at a time of one user would lose one. */
  readonly #turns = new KeyedQueue();

  constructor(deps: ProfilesDeps) {
    this.#deps = deps;
  }

  /** What a local user's member events say of the user. Served from memory for those who were asked for before. */
  async profileOf(userId: UserId): Promise<MemberProfile> {
    const { displayname, avatar_url } = await this.#fields(userId);
    return {
      ...(typeof displayname === 'string' ? { displayname } : {}),
      ...(typeof avatar_url === 'string' ? { avatar_url } : {}),
    };
  }

  /**
   * All fields of a profile, as far as the asker (null: nobody in particular) may see it.
   *
   * @throws MatrixError 404 where there is no such user, 401 or 403 where profiles are not for everybody, 502 where the
   *   server of the user cannot be asked
   */
  async get(asker: UserId | null, userId: UserId): Promise<JsonObject> {
    const { config, db } = this.#deps;
    if (config.requireAuth || config.limitToSharedRooms) {
      if (asker === null) throw missingToken();
      if (config.limitToSharedRooms && asker !== userId && !(await shareRoom(db, asker, userId))) {
        throw forbidden('Profiles are shown only to users in a common room.');
      }
    }
    if (serverNameOf(userId) !== this.#deps.serverName) return this.#deps.remote.get(userId);
    return this.#existing(userId);
  }

  /** All fields of a user's profile. Throws 404 where there is no such user here. */
  async #existing(userId: UserId): Promise<JsonObject> {
    const fields = await this.#fields(userId);
    if (Object.keys(fields).length > 0) return fields;
    const user = await findUser(this.#deps.db, userId);
    if (user === undefined || user.isDeactivated) throw notFound('This server knows no such user.');
    return fields;
  }

  /**
   * A profile as another server may see it: all fields or only one, which may be missing.
   *
   * @throws MatrixError 403 where profiles are not shown to other servers, 404 where there is no such user here
   */
  async getForServer(userId: UserId, key: string | null): Promise<JsonObject> {
    if (!this.#deps.config.allowLookupOverFederation) {
      throw forbidden('This server shows no profiles to other servers.');
    }
    const fields = await this.#existing(userId);
    if (key === null) return fields;
    const value = Object.hasOwn(fields, key) ? fields[key] : undefined;
    return value === undefined ? {} : { [key]: value };
  }

  /** One field. Throws as `get` does, and 404 where it is not set. */
  async getField(asker: UserId | null, userId: UserId, key: string): Promise<JsonValue> {
    const fields = await this.get(asker, userId);
    const value = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (value === undefined) throw notFound('The profile has no such field.');
    return value;
  }

  /**
   * Sets a field of one's own profile. A new name or avatar is told in all rooms that the user is in before this
   * resolves.
   *
   * @throws MatrixError 403 where the user may not set it, 400 where the key, the value or the whole is not allowed
   */
  async setField(asker: Asker, userId: UserId, key: string, value: JsonValue): Promise<void> {
    this.#checkMayChange(asker, userId, key);
    checkKey(key);
    const isEmptyName = (key === 'displayname' || key === 'avatar_url') && (value === '' || value === null);
    if (!isEmptyName) checkValue(key, value);
    await this.#change(userId, key, isEmptyName ? undefined : value);
  }

  /** Takes a field out of one's own profile, and out of one's member events; nothing happens where it is not set. */
  async deleteField(asker: Asker, userId: UserId, key: string): Promise<void> {
    this.#checkMayChange(asker, userId, key);
    checkKey(key);
    await this.#change(userId, key, undefined);
  }

  /** Reads the profile anew the next time: something else changed it. */
  async forget(userId: UserId): Promise<void> {
    await this.#turns.run(userId, () => void this.#cache.delete(userId));
  }

  #checkMayChange(asker: Asker, userId: UserId, key: string): void {
    const { config } = this.#deps;
    if (asker.userId !== userId) throw forbidden('Only your own profile can be changed.');
    if (asker.isGuest && key !== 'displayname') {
      throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests may only set their display name.');
    }
    if (asker.isAdmin) return;
    if (key === 'displayname' && !config.maySetDisplayName) throw forbidden('Display names are not changed here.');
    if (key === 'avatar_url' && !config.maySetAvatarUrl) throw forbidden('Avatars are not changed here.');
  }

  async #fields(userId: UserId): Promise<JsonObject> {
    return this.#cache.get(userId) ?? this.#turns.run(userId, () => this.#load(userId));
  }

  async #load(userId: UserId): Promise<JsonObject> {
    const known = this.#cache.get(userId);
    if (known !== undefined) return known;
    const text = await findProfileText(this.#deps.db, userId);
    const fields: unknown = text === undefined ? undefined : JSON.parse(text);
    // Whoever has no profile may be about to register: nothing is kept of them.
    if (!isJsonObject(fields)) return {};
    this.#cache.set(userId, fields);
    return fields;
  }

  /** Sets one field; `undefined` takes it out. */
  #change(userId: UserId, key: string, value: JsonValue | undefined): Promise<void> {
    return this.#turns.run(userId, async () => {
      const before = await this.#load(userId);
      const { [key]: _, ...others } = before;
      const fields: JsonObject = value === undefined ? others : { ...others, [key]: value };
      if (Buffer.byteLength(canonicalJson(fields, { strict: false })) > PROFILE_BYTES_MAX) {
        throw badRequest('M_PROFILE_TOO_LARGE', `A profile has at most ${PROFILE_BYTES_MAX} bytes.`);
      }
      await this.#deps.stream.record({ kind: 'profile', roomNo: null, about: userId, users: [] }, (position) => [
        upsertProfile(userId, JSON.stringify(fields)),
        upsertUserChange(userId, position),
      ]);
      this.#cache.set(userId, fields);
      if (key === 'displayname' || key === 'avatar_url') await this.#tellRooms(userId, fields);
    });
  }

  /** Carries name and avatar into the user's member events, also where one room had another name than the rest. */
  async #tellRooms(userId: UserId, fields: JsonObject): Promise<void> {
    const { db, log } = this.#deps;
    const memberships = await listMembershipsOfUser(db, userId);
    const roomNos = memberships.filter((row) => row.membership === 'join').map((row) => row.roomNo);
    const tellNext = async (): Promise<void> => {
      for (let roomNo = roomNos.pop(); roomNo !== undefined; roomNo = roomNos.pop()) {
        try {
          await this.#tellRoom(roomNo, userId, fields);
        } catch (error) {
          // One room that refuses must not keep the others from learning of it.
          log.warn('A room keeps the profile of before.', { userId, roomNo, error });
        }
      }
    };
    await Promise.all(Array.from({ length: ROOMS_AT_ONCE }, tellNext));
  }

  async #tellRoom(roomNo: number, userId: UserId, fields: JsonObject): Promise<void> {
    const { rooms, reader, events } = this.#deps;
    const live = await rooms.get((await events.room(roomNo)).roomId);
    const member = await reader.stateEvent(live, 'm.room.member', userId);
    if (member === null || live.membershipOf(userId) !== 'join') return;
    const before = shownContent(member);
    const { displayname: _, avatar_url: __, ...kept } = before;
    const { displayname, avatar_url } = fields;
    const content = {
      ...Object.fromEntries(Object.entries(kept).filter(([key]) => !OF_THE_JOIN.has(key))),
      ...(displayname === undefined ? {} : { displayname }),
      ...(avatar_url === undefined ? {} : { avatar_url }),
      membership: 'join',
    };
    if (isSameContent(before, content)) return;
    await rooms.send(live.roomId, [{ type: 'm.room.member', stateKey: userId, sender: userId, content }]);
  }
}

function checkKey(key: string): void {
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) {
    throw badRequest('M_KEY_TOO_LARGE', `The name of a field has at most ${KEY_BYTES_MAX} bytes.`);
  }
  if (!KEY.test(key)) throw invalidParam('keyName: must be of a-z, 0-9, dots, dashes and underscores, a letter first.');
}

function checkValue(key: string, value: JsonValue): void {
  if (key === 'displayname' || key === 'avatar_url') {
    const charsMax = key === 'displayname' ? DISPLAYNAME_CHARS_MAX : AVATAR_URL_CHARS_MAX;
    if (typeof value !== 'string') throw invalidParam(`${key}: must be a string.`);
    if ([...value].length > charsMax) throw invalidParam(`${key}: must be at most ${charsMax} characters.`);
  }
  if (TIME_ZONES.has(key) && typeof value !== 'string') throw invalidParam(`${key}: must be a string.`);
}
