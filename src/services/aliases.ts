/** Room aliases of this server, and what `m.room.canonical_alias` may name. */
import type { Config } from '../config/config.ts';
import { FEDERATION } from '../contracts/federation/index.ts';
import { badRequest, forbidden, invalidParam, MatrixError, notFound } from '../core/errors.ts';
import { compileGlob } from '../core/glob.ts';
import {
  parseRoomAlias,
  type RoomAlias,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../core/ids.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import type { Clock } from '../kit/clock.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { type Database, UniqueViolation } from '../storage/database.ts';
import { deleteAlias, insertAlias, listAliases, listAliasesOfRoom } from '../storage/room-aliases.ts';
import type { Statement } from '../storage/sql.ts';
import { type Asker, roomOfMember } from './asker.ts';
import { passedOn } from './remote-candidates.ts';

export type AliasesDeps = {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly clock: Clock;
  readonly serverName: ServerName;
  readonly remote: Pick<FederationClient, 'call'>;
  readonly config: Config['rooms'];
};

type AccessRule = Config['rooms']['aliasCreationRules'][number];

/** What a rule of the configuration looks at. */
export type RuleSubject = {
  readonly userId: string;
  readonly roomId: string;
  /** Every alias that the room has or shall have; `''` stands for none. */
  readonly aliases: readonly string[];
};

/** A decider by rules of the configuration: the first that matches decides, and where none does, the answer is no. */
export function compileAccessRules(rules: readonly AccessRule[]): (subject: RuleSubject) => boolean {
  const compiled = rules.map((rule) => ({
    isAllowed: rule.action === 'allow',
    matchesUser: compileGlob(rule.userId),
    matchesRoom: compileGlob(rule.roomId),
    matchesAlias: compileGlob(rule.alias),
  }));
  return ({ userId, roomId, aliases }) => {
    const named = aliases.length === 0 ? [''] : aliases;
    const first = compiled.find(
      (rule) => rule.matchesUser(userId) && rule.matchesRoom(roomId) && named.some(rule.matchesAlias),
    );
    return first?.isAllowed ?? false;
  };
}

/** White space, control characters, and marks that only change how the text around them looks (threat D12). */
const UNFIT_FOR_ALIAS = /[\s\p{Cc}\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]/u;

/** How many servers are told of a room. */
const SERVERS_MAX = 50;

const inUse = (alias: string): MatrixError =>
  new MatrixError(409, 'M_UNKNOWN', `The room alias ${alias} exists already.`);

const ASKING = { timeoutMs: 10_000 };

export class Aliases {
  readonly #deps: AliasesDeps;
  readonly #mayCreate: (subject: RuleSubject) => boolean;

  constructor(deps: AliasesDeps) {
    this.#deps = deps;
    this.#mayCreate = compileAccessRules(deps.config.aliasCreationRules);
  }

  /**
   * The room of an alias, and servers by which to get there. Throws 404 M_NOT_FOUND, and 502 where the alias is of a
   * server that does not answer.
   */
  async resolve(alias: RoomAlias): Promise<{ roomId: RoomId; servers: ServerName[] }> {
    return serverNameOf(alias) === this.#deps.serverName ? this.resolveLocal(alias) : this.#ask(alias);
  }

  /** The room of an alias of this server, and servers that are in it, those with most members first, ours before all. */
  async resolveLocal(alias: RoomAlias): Promise<{ roomId: RoomId; servers: ServerName[] }> {
    const { db, rooms, serverName } = this.#deps;
    const [found] = await listAliases(db, [alias]);
    if (found === undefined) throw notFound(`There is no room with the alias ${alias}.`);
    const live = await rooms.find(found.roomId);
    return { roomId: found.roomId, servers: [serverName, ...(live?.likeliestServers ?? [])].slice(0, SERVERS_MAX) };
  }

  /** The room of another server's alias, as that server tells it. */
  async #ask(alias: RoomAlias): Promise<{ roomId: RoomId; servers: ServerName[] }> {
    const input = { query: { room_alias: alias } };
    try {
      const reply = await this.#deps.remote.call(serverNameOf(alias), FEDERATION.queryRoomDirectory, input, ASKING);
      return { roomId: reply.room_id, servers: reply.servers.slice(0, SERVERS_MAX) };
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      if (error.remoteStatus === 404) throw notFound(`There is no room with the alias ${alias}.`);
      throw passedOn(error);
    }
  }

  /** An alias of this server by its local part. Throws 400 M_INVALID_PARAM where it cannot be one. */
  fromLocalpart(localpart: string): RoomAlias {
    const alias = localpart.includes(':') ? null : parseRoomAlias(`#${localpart}:${this.#deps.serverName}`);
    if (alias === null || localpart === '') throw invalidParam('This cannot be the local part of a room alias.');
    this.#checkForm(alias);
    return alias;
  }

  #checkForm(alias: RoomAlias): void {
    if (serverNameOf(alias) !== this.#deps.serverName) throw invalidParam('The alias is of another server.');
    if (UNFIT_FOR_ALIAS.test(alias)) throw invalidParam('The alias has characters that no alias may have.');
  }

  /** Checks that a user may give a new room an alias. Throws 403 where not, 400 M_ROOM_IN_USE where it is taken. */
  async checkForNewRoom(asker: Asker, alias: RoomAlias): Promise<void> {
    this.#checkRules(asker, alias, '');
    if ((await listAliases(this.#deps.db, [alias])).length > 0) throw roomInUse(alias);
  }

  #checkRules({ userId }: Asker, alias: RoomAlias, roomId: RoomId | ''): void {
    if (!this.#mayCreate({ userId, roomId, aliases: [alias] })) throw forbidden('You may not make this alias.');
  }

  /** The statement that stores an alias together with a new room. */
  statementFor(alias: RoomAlias, roomNo: number, creator: UserId): Statement {
    return insertAlias({ roomAlias: alias, roomNo, creator, createdMs: this.#deps.clock.now() });
  }

  /** Gives a room an alias. Throws 403 where the user may not, 409 where it exists, 400 where it is no alias of ours. */
  async create(asker: Asker, alias: RoomAlias, roomId: RoomId): Promise<void> {
    const { db, rooms, config } = this.#deps;
    this.#checkForm(alias);
    const live = await roomOfMember(rooms, roomId);
    const mustBeIn = config.requireMembershipForAliases && !asker.isAdmin;
    if (mustBeIn && live.membershipOf(asker.userId) !== 'join') throw forbidden('You are not in this room.');
    this.#checkRules(asker, alias, roomId);
    if ((await listAliases(db, [alias])).length > 0) throw inUse(alias);
    try {
      await db.commit([this.statementFor(alias, live.roomNo, asker.userId)]);
    } catch (error) {
      if (error instanceof UniqueViolation) throw inUse(alias);
      throw error;
    }
  }

  /**
   * Takes an alias away: its creator may, a server admin, and whoever may set the room's canonical alias. Where the room
   * names it as canonical and the user may change that, the name is taken out there too. Throws 404 or 403.
   */
  async remove(asker: Asker, alias: RoomAlias): Promise<void> {
    const { db, rooms } = this.#deps;
    const [found] = await listAliases(db, [alias]);
    if (found === undefined) throw notFound(`There is no alias ${alias}.`);
    const live = await rooms.get(found.roomId);
    const isTheirs = found.creator === asker.userId || asker.isAdmin;
    if (!isTheirs && !(await this.#maySetCanonical(live, asker.userId))) {
      throw forbidden('Only who made the alias, or a moderator of the room, may delete it.');
    }
    await db.commit([deleteAlias(alias)]);
    await this.#dropCanonical(live, asker.userId, alias);
  }

  async #maySetCanonical(live: LiveRoom, userId: UserId): Promise<boolean> {
    if (live.membershipOf(userId) !== 'join') return false;
    const { reader } = this.#deps;
    const create = await reader.stateEvent(live, 'm.room.create', '');
    if (create === null) return false;
    const event = await reader.stateEvent(live, 'm.room.power_levels', '');
    const levels = readPowerLevels(live.rules, create.pdu, event?.pdu);
    return levels.levelOf(userId) >= levels.needed('m.room.canonical_alias', true);
  }

  async #dropCanonical(live: LiveRoom, userId: UserId, alias: RoomAlias): Promise<void> {
    const { reader, rooms } = this.#deps;
    const event = await reader.stateEvent(live, 'm.room.canonical_alias', '');
    if (event === null || !namedIn(event.pdu.content).includes(alias)) return;
    if (!(await this.#maySetCanonical(live, userId))) return;
    const { alias: main, alt_aliases: others, ...rest } = event.pdu.content;
    const kept = Array.isArray(others) ? others.filter((other) => other !== alias) : [];
    const content: JsonObject = {
      ...rest,
      ...(main === undefined || main === alias ? {} : { alias: main }),
      ...(kept.length === 0 ? {} : { alt_aliases: kept }),
    };
    await rooms.send(live.roomId, [{ type: 'm.room.canonical_alias', stateKey: '', sender: userId, content }]);
  }

  /** The aliases of a room, for its members, and for everybody where it is world-readable. Throws 403. */
  async listOf(asker: Asker, roomId: RoomId): Promise<RoomAlias[]> {
    const { db, rooms, reader } = this.#deps;
    const live = await roomOfMember(rooms, roomId);
    const mayRead =
      live.membershipOf(asker.userId) === 'join' || (await reader.currentVisibility(live)) === 'world_readable';
    if (!mayRead) throw forbidden('You are not in this room.');
    return listAliasesOfRoom(db, live.roomNo);
  }

  /**
   * Checks the content of a new `m.room.canonical_alias`: what it names anew must lead to this room. Throws 400
   * M_INVALID_PARAM for what is no alias, 400 M_BAD_ALIAS for one that is missing or leads elsewhere.
   */
  async checkCanonical(live: LiveRoom, content: JsonObject): Promise<void> {
    const { alias, alt_aliases: others } = content;
    const named = alias === undefined || alias === null || alias === '' ? [] : [parsed(alias, 'alias')];
    if (others !== undefined && others !== null) {
      if (!Array.isArray(others)) throw invalidParam('alt_aliases: must be a list.');
      named.push(...others.map((other: JsonValue) => parsed(other, 'alt_aliases')));
    }
    const current = await this.#deps.reader.stateEvent(live, 'm.room.canonical_alias', '');
    const known = new Set(current === null ? [] : namedIn(current.pdu.content));
    const fresh = [...new Set(named)].filter((each) => !known.has(each));
    if (fresh.length === 0) return;
    const found = new Map((await listAliases(this.#deps.db, fresh)).map((row) => [row.roomAlias, row.roomId]));
    for (const each of fresh) {
      if (found.get(each) !== live.roomId) throw badRequest('M_BAD_ALIAS', `${each} does not lead to this room.`);
    }
  }
}

/** 400 M_ROOM_IN_USE: a new room cannot have an alias that another one has. */
export const roomInUse = (alias: RoomAlias): MatrixError =>
  badRequest('M_ROOM_IN_USE', `The room alias ${alias} is taken.`);

function parsed(value: JsonValue, path: string): RoomAlias {
  const alias = parseRoomAlias(value);
  if (alias === null) throw invalidParam(`${path}: is not a room alias.`);
  return alias;
}

function namedIn(content: JsonObject): JsonValue[] {
  const { alias, alt_aliases: others } = content;
  return [...(typeof alias === 'string' ? [alias] : []), ...(Array.isArray(others) ? others : [])];
}
