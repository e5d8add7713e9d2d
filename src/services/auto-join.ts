/** The rooms of `auto_join_rooms`: new users come into them, and they are made where they do not exist. */
import type { Config } from '../config/config.ts';
import { MatrixError } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import {
  localpartOf,
  parseRoomAlias,
  type RoomAlias,
  type RoomId,
  type ServerName,
  serverNameOf,
} from '../core/ids.ts';
import type { Log } from '../kit/log.ts';
import { findUser } from '../storage/accounts.ts';
import type { Database } from '../storage/database.ts';
import type { Aliases } from './aliases.ts';
import type { Membership } from './membership.ts';
import type { RoomCreation } from './room-creation.ts';

export type AutoJoinDeps = {
  readonly db: Database;
  readonly aliases: Aliases;
  readonly membership: Membership;
  readonly roomCreation: RoomCreation;
  readonly serverName: ServerName;
  readonly log: Log;
  readonly config: Config['registration'];
};

export class AutoJoin {
  readonly #deps: AutoJoinDeps;

  constructor(deps: AutoJoinDeps) {
    this.#deps = deps;
  }

  /** Brings a new user into the rooms, as far as that goes. Never throws: the account is there either way. */
  async welcome(userId: UserId, isGuest: boolean): Promise<void> {
    const { config, log } = this.#deps;
    if (config.autoJoinRooms.length === 0 || (isGuest && !config.autoJoinForGuests)) return;
    const host = await this.#host();
    for (const name of config.autoJoinRooms) {
      try {
        const alias = parseRoomAlias(name);
        if (alias === null) throw new Error('This is no room alias.');
        await this.#bring(userId, isGuest, alias, host);
      } catch (error) {
        log.warn('A new user could not be brought into a room of auto_join_rooms.', { userId, alias: name, error });
      }
    }
  }

  /** The user who makes the rooms and invites into them; null where none is named, or there is no such account. */
  async #host(): Promise<UserId | null> {
    const { db, serverName, config } = this.#deps;
    if (config.autoJoinLocalpart === null) return null;
    // A local part out of the configuration; where it is none, there is no such account.
    const user = await findUser(db, `@${config.autoJoinLocalpart}:${serverName}` as UserId);
    return user === undefined || user.isDeactivated ? null : user.userId;
  }

  async #bring(userId: UserId, isGuest: boolean, alias: RoomAlias, host: UserId | null): Promise<void> {
    const roomId = (await this.#find(alias)) ?? (isGuest ? null : await this.#make(userId, alias, host));
    if (roomId !== null) await this.#deps.membership.bring(userId, roomId, host);
  }

  async #find(alias: RoomAlias): Promise<RoomId | null> {
    try {
      return (await this.#deps.aliases.resolve(alias)).roomId;
    } catch (error) {
      if (error instanceof MatrixError && error.status === 404) return null;
      throw error;
    }
  }

  /** Makes a room of the list. Gives null where it is not for us to make. */
  async #make(userId: UserId, alias: RoomAlias, host: UserId | null): Promise<RoomId | null> {
    const { config, serverName, roomCreation } = this.#deps;
    if (!config.autoCreateAutoJoinRooms || serverNameOf(alias) !== serverName) return null;
    if (host === null && config.autoJoinRoomPreset !== 'public_chat') {
      throw new Error('Nobody could invite into the room: auto_join_mxid_localpart names no account.');
    }
    const maker = { userId: host ?? userId, isGuest: false, isAdmin: false, isSuspended: false };
    try {
      return await roomCreation.create(maker, {
        visibility: 'private',
        preset: config.autoJoinRoomPreset,
        aliasName: localpartOf(alias),
        invite: [],
        isDirect: false,
        creationContent: config.autoJoinRoomsFederated ? {} : { 'm.federate': false },
        initialState: [],
        powerLevels: {},
      });
    } catch (error) {
      // Two came at one time, and the other one's room is there.
      if (error instanceof MatrixError && error.errcode === 'M_ROOM_IN_USE') return this.#find(alias);
      throw error;
    }
  }
}
