/** What users of ours keep of a room when they come into the one that replaces it: tags, direct chats, push rules. */
import type { UserId } from '../core/ids.ts';
import { parseRoomId, type RoomId } from '../core/ids.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { copyRoomRules } from '../core/push-rule-edit.ts';
import type { Log } from '../kit/log.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { findAccountData } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import type { AccountData } from './account-data.ts';
import type { PushRules } from './push-rules.ts';

export type RoomSuccessionDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly accountData: AccountData;
  readonly pushRules: PushRules;
  readonly log: Log;
};

export class RoomSuccession {
  readonly #deps: RoomSuccessionDeps;

  constructor(deps: RoomSuccessionDeps) {
    this.#deps = deps;
  }

  /**
   * Carries a user's own things over from the room that this one replaces, if they had to do with that one. Never throws:
   * who comes in is in, with or without their tags.
   */
  async follow(userId: UserId, live: LiveRoom): Promise<void> {
    try {
      const from = await this.#predecessorOf(live);
      const old = from === null ? null : await this.#deps.rooms.find(from);
      if (old === null || old.membershipOf(userId) === null) return;
      await this.#copyTags(userId, old.roomId, live.roomId);
      await this.#copyDirect(userId, old.roomId, live.roomId);
      await this.#copyRules(userId, old.roomId, live.roomId);
    } catch (error) {
      this.#deps.log.warn('What a user kept of a room could not be carried over to its successor.', {
        userId,
        roomId: live.roomId,
        error,
      });
    }
  }

  async #predecessorOf(live: LiveRoom): Promise<RoomId | null> {
    const create = await this.#deps.reader.stateEvent(live, 'm.room.create', '');
    const predecessor = create?.pdu.content['predecessor'];
    return isJsonObject(predecessor) ? parseRoomId(predecessor['room_id']) : null;
  }

  async #copyTags(userId: UserId, from: RoomId, to: RoomId): Promise<void> {
    const { accountData } = this.#deps;
    const known = await accountData.tags(userId, to);
    for (const [tag, info] of Object.entries(await accountData.tags(userId, from))) {
      if (!Object.hasOwn(known, tag)) await accountData.tag(userId, to, tag, isJsonObject(info) ? info : {});
    }
  }

  async #copyDirect(userId: UserId, from: RoomId, to: RoomId): Promise<void> {
    const row = await findAccountData(this.#deps.db, userId, 0, 'm.direct');
    const direct: unknown = row === undefined ? {} : JSON.parse(row.content);
    if (!isJsonObject(direct)) return;
    let isChanged = false;
    const content: JsonObject = Object.fromEntries(
      Object.entries(direct).map(([partner, rooms]) => {
        if (!Array.isArray(rooms) || !rooms.includes(from) || rooms.includes(to)) return [partner, rooms];
        isChanged = true;
        return [partner, [...rooms, to]];
      }),
    );
    if (isChanged) await this.#deps.accountData.set(userId, null, 'm.direct', content);
  }

  async #copyRules(userId: UserId, from: RoomId, to: RoomId): Promise<void> {
    const { pushRules } = this.#deps;
    if (copyRoomRules(await pushRules.stored(userId), from, to) === (await pushRules.stored(userId))) return;
    await pushRules.change(userId, (stored) => copyRoomRules(stored, from, to));
  }
}
