/** What clients keep on the server for their user: settings of the account and of single rooms, tags among them. */
import { badJson, invalidParam, MatrixError, notFound, tooLarge, userLimitExceeded } from '../core/errors.ts';
import { isWithinBytes, type RoomId, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { countAccountData, findAccountData, upsertAccountData } from '../storage/account-data.ts';
import type { Database } from '../storage/database.ts';
import type { Stream } from '../stream/stream.ts';
import type { PushRules } from './push-rules.ts';

/** Kept by other calls: a client that wrote them here would undo what those promise. */
const KEPT_ELSEWHERE = new Set(['m.fully_read', 'm.push_rules']);
const TYPE_CHARS_MAX = 255;
/** Of the account, and of each room. */
const TYPES_MAX = 1000;
const TAGS_MAX = 100;
const TAG_BYTES_MAX = 255;
const TAGS_BYTES_MAX = 65_536;

export type AccountDataDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly rooms: Rooms;
  readonly pushRules: PushRules;
  /** Where users can ask about limits. */
  readonly limitsInfoUri: string;
};

export class AccountData {
  readonly #deps: AccountDataDeps;
  readonly #tagging = new Map<UserId, Promise<unknown>>();

  constructor(deps: AccountDataDeps) {
    this.#deps = deps;
  }

  /**
   * Stores data of the account, or of one room of it.
   *
   * @throws MatrixError 405 M_BAD_JSON for types that other calls keep, 403 M_USER_LIMIT_EXCEEDED where there are too many types
   */
  async set(userId: UserId, roomId: RoomId | null, type: string, content: JsonObject): Promise<void> {
    if (KEPT_ELSEWHERE.has(type)) {
      throw new MatrixError(405, 'M_BAD_JSON', `${type} cannot be set as account data.`);
    }
    if (type.length > TYPE_CHARS_MAX) throw invalidParam(`type: must be at most ${TYPE_CHARS_MAX} characters.`);
    const roomNo = await this.#roomNo(roomId);
    const isNew = (await findAccountData(this.#deps.db, userId, roomNo, type)) === undefined;
    if (isNew && (await countAccountData(this.#deps.db, userId, roomNo)) >= TYPES_MAX) {
      throw userLimitExceeded(`There are at most ${TYPES_MAX} types of account data.`, this.#deps.limitsInfoUri);
    }
    await this.#store(userId, roomNo, type, JSON.stringify(content));
  }

  /** Stored data as JSON text. Throws 404 M_NOT_FOUND. */
  async get(userId: UserId, roomId: RoomId | null, type: string): Promise<string> {
    // They are account data to clients, and kept apart from it.
    if (roomId === null && type === 'm.push_rules') {
      return JSON.stringify({ global: await this.#deps.pushRules.get(userId) });
    }
    const found = await findAccountData(this.#deps.db, userId, await this.#roomNo(roomId), type);
    if (found === undefined) throw notFound('There is no account data of this type.');
    return found.content;
  }

  /** The tags of a room: name → `order` and whatever else clients put there. */
  async tags(userId: UserId, roomId: RoomId): Promise<JsonObject> {
    const found = await findAccountData(this.#deps.db, userId, await this.#roomNo(roomId), 'm.tag');
    const content: unknown = found === undefined ? {} : JSON.parse(found.content);
    const tags = isJsonObject(content) ? content['tags'] : undefined;
    return isJsonObject(tags) ? tags : {};
  }

  /**
   * Puts a tag on a room; null takes it off.
   *
   * @throws MatrixError 400 for a name that is too long and an order that is no number, 413 for too much of it
   */
  async tag(userId: UserId, roomId: RoomId, tag: string, info: JsonObject | null): Promise<void> {
    if (!isWithinBytes(tag, TAG_BYTES_MAX)) throw invalidParam(`tag: must be at most ${TAG_BYTES_MAX} bytes.`);
    const order = info?.['order'];
    if (order !== undefined && typeof order !== 'number') throw badJson('order: must be a number.');
    // Tags are read and written as one: two at a time of one user would lose one.
    const before = this.#tagging.get(userId) ?? Promise.resolve();
    const tagging = before.then(async () => {
      const { [tag]: _, ...others } = await this.tags(userId, roomId);
      const tags = info === null ? others : { ...others, [tag]: info };
      if (Object.keys(tags).length > TAGS_MAX) throw badJson(`A room has at most ${TAGS_MAX} tags.`);
      const content = JSON.stringify({ tags });
      if (!isWithinBytes(content, TAGS_BYTES_MAX))
        throw tooLarge(`The tags of a room have at most ${TAGS_BYTES_MAX} bytes.`);
      await this.#store(userId, await this.#roomNo(roomId), 'm.tag', content);
    });
    const settled = tagging.catch(() => {});
    this.#tagging.set(userId, settled);
    try {
      await tagging;
    } finally {
      if (this.#tagging.get(userId) === settled) this.#tagging.delete(userId);
    }
  }

  async #roomNo(roomId: RoomId | null): Promise<number> {
    if (roomId === null) return 0;
    const live = await this.#deps.rooms.find(roomId);
    if (live === null) throw notFound('This server does not know the room.');
    return live.roomNo;
  }

  async #store(userId: UserId, roomNo: number, type: string, content: string): Promise<void> {
    const change = { kind: 'account-data', roomNo: null, about: userId, users: [userId] } as const;
    await this.#deps.stream.record(change, (position) => [
      upsertAccountData({ userId, roomNo, type, content, position }),
    ]);
  }
}
