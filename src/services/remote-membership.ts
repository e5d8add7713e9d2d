/**
 * What users of ours do in rooms that this server is not in: join, knock, leave. Another server that is in the room does
 * it with us.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import type { Config } from '../config/config.ts';
import { FEDERATION } from '../contracts/federation/index.ts';
import { MatrixError, notFound } from '../core/errors.ts';
import { type EventId, parseUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { rawNumberText } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { readStrippedState } from '../core/stripped-state.ts';
import type { Log } from '../kit/log.ts';
import { KeyedQueue, QueueFull } from '../kit/queue.ts';
import type { EventChecks } from '../remote/event-checks.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import { type Adoption, BannedError } from '../rooms/adopt.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Database } from '../storage/database.ts';
import { findMembership } from '../storage/room-state.ts';
import { findStrippedState } from '../storage/stripped-states.ts';
import type { Asker } from './asker.ts';
import { JoinAnswer, type JoinAsk, RoomTooLarge, TooMuchLeftOut } from './join-answer.ts';
import { joinOnTop } from './join-on-top.ts';
import type { PartialJoins } from './partial-joins.ts';
import { type Candidates, candidatesOf, firstToDo } from './remote-candidates.ts';
import { type HandshakeDeps, type Offer, prepareMember, type Wish } from './remote-handshake.ts';
import { STATE_EVENTS_PER_COMPLEXITY } from './resident-rooms.ts';

export type RemoteMembershipDeps = HandshakeDeps & {
  readonly remote: Pick<FederationClient, 'call' | 'stream'>;
  readonly checks: Pick<EventChecks, 'check'>;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly config: Pick<
    Config['rooms'],
    'refusesComplexRooms' | 'roomComplexityMax' | 'roomComplexityError' | 'mayAdminsJoinComplexRooms'
  >;
  readonly partialJoins: Pick<PartialJoins, 'begin'>;
  readonly log: Log;
};

export type RemoteJoin = {
  readonly asker: Asker;
  readonly roomId: RoomId;
  /** Servers that may be in the room, the likeliest first; the room's own ones are added. */
  readonly via: readonly ServerName[];
  /** What the member event shall say beside the membership. */
  readonly content: JsonObject;
  /** The join is another server's to allow although we are in the room: nobody here can let the user in. */
  readonly needsResident?: boolean;
};

/** How many users may wait for their turn at one room. */
const WAITING_MAX = 200;
/** How many rooms are taken over at one time: each may be large. */
const JOINS_AT_ONCE = 8;
/** The other server puts the whole room together before it begins to answer. */
const SEND_JOIN_TIMEOUT_MS = 120_000;
/** By then also a server that sends a byte now and then must be through. */
const SEND_JOIN_DEADLINE_MS = 15 * 60_000;
const SEND_TIMEOUT_MS = 20_000;
/** How many servers are asked to take a leave: beyond them the user has left as far as this server goes. */
const LEAVE_CANDIDATES = 3;
/** What is only asked to be spared a large room may not take long. */
const COMPLEXITY_TIMEOUT_MS = 5000;

export class RemoteMembership {
  readonly #deps: RemoteMembershipDeps;
  /** One at a time in each room: the second user of ours to join finds the room here. */
  readonly #byRoom = new KeyedQueue({ waitingMax: WAITING_MAX });
  readonly #joins = new KeyedQueue({ atOnce: JOINS_AT_ONCE, waitingMax: WAITING_MAX });
  /** Joins at work or waiting, by room and user: whoever asks again, also after the client went away, waits for the same. */
  readonly #joining = new Map<string, Promise<'joined' | 'kept-here'>>();

  constructor(deps: RemoteMembershipDeps) {
    this.#deps = deps;
  }

  /**
   * Joins a room through servers that are in it. It goes on when the client goes away.
   *
   * @returns `kept-here` where the room has come to be here meanwhile: then the user joins it like any other
   * @throws MatrixError 403 and others as the other servers say, 404 where no server is known, 502 where none answers
   */
  join(join: RemoteJoin): Promise<'joined' | 'kept-here'> {
    const key = `${join.roomId} ${join.asker.userId}`;
    const running = this.#joining.get(key);
    if (running !== undefined) return running;
    const joining = this.#inTurn(join.roomId, () => this.#join(join)).finally(() => this.#joining.delete(key));
    this.#joining.set(key, joining);
    return joining;
  }

  /** Whether a join of that user is at work. */
  isJoining(roomId: RoomId, userId: UserId): boolean {
    return this.#joining.has(`${roomId} ${userId}`);
  }

  /**
   * Whether what the user does in the room is done here: our view of it is the newest, and the user's own membership is
   * no word from outside.
   */
  async isKeptHere(live: LiveRoom, userId: UserId): Promise<boolean> {
    if (!live.isKeptHere || live.isServerJoined) return live.isKeptHere;
    // We hold that everybody has left. An invite from outside says that we are wrong.
    const { db, events } = this.#deps;
    const row = await findMembership(db, live.roomNo, userId);
    return row === undefined || !(await events.get(row.eventNo)).isOutOfBand;
  }

  async #join(join: RemoteJoin): Promise<'joined' | 'kept-here'> {
    const { asker, roomId, content, needsResident = false } = join;
    const live = await this.#deps.rooms.find(roomId);
    const isKeptHere = live !== null && (await this.isKeptHere(live, asker.userId));
    if (isKeptHere && (!needsResident || live!.membershipOf(asker.userId) === 'join')) return 'kept-here';
    const wish: Wish = { roomId, userId: asker.userId, membership: 'join', content };
    const candidates = await this.#candidates(roomId, live, asker.userId, join.via);
    await this.#joins.run('', () =>
      this.#firstToDo(wish, candidates, async (resident) => {
        const stateMax = isKeptHere ? Number.POSITIVE_INFINITY : this.#stateMaxFor(asker);
        if (Number.isFinite(stateMax)) await this.#checkComplexity(resident, roomId);
        const offer = await prepareMember(this.#deps, resident, wish, isKeptHere ? live!.rules : null);
        const known = (eventIds: readonly EventId[]) => this.#deps.events.findManyById(eventIds);
        // Whoever looks at how large the room is must be told all of it.
        const omitsMembers = isKeptHere ? live!.isPartial : stateMax === Number.POSITIVE_INFINITY;
        const adoption = await this.#sendJoin(offer, { resident, omitsMembers, stateMax, known });
        await this.#takeIn(resident, adoption, isKeptHere);
      }),
    );
    if ((await this.#deps.rooms.get(roomId)).isPartial) await this.#deps.partialJoins.begin(roomId);
    return 'joined';
  }

  async #takeIn(resident: ServerName, adoption: Adoption, isKeptHere: boolean): Promise<void> {
    const { rooms, events } = this.#deps;
    try {
      if (isKeptHere) await joinOnTop({ rooms, events }, adoption);
      else await rooms.adopt(adoption);
    } catch (error) {
      // Not the room refuses the join, but what this server told of the room makes no sense.
      if (error instanceof MatrixError && error.status === 403) {
        if (error instanceof BannedError) throw refusalOfBanned(resident);
        throw new RemoteError('bad-reply', `${resident} told a state in which the join cannot be: ${error.message}`);
      }
      throw error;
    }
  }

  async #sendJoin(offer: Offer, ask: JoinAsk): Promise<Adoption> {
    const { remote, checks, clock, log, config } = this.#deps;
    const { event } = offer;
    const { resident, omitsMembers } = ask;
    const answer = new JoinAnswer(checks, offer, ask);
    const deadline = new AbortController();
    const timer = clock.after(SEND_JOIN_DEADLINE_MS, () => {
      deadline.abort(new RemoteError('unreachable', `${resident} took too long to tell of the room.`));
    });
    try {
      const rest = await remote.stream(
        resident,
        FEDERATION.sendJoinV2,
        {
          params: { roomId: event.roomId, eventId: event.eventId },
          query: { omit_members: omitsMembers },
          body: event.json,
        },
        (list, item) => answer.take(list, item),
        { timeoutMs: SEND_JOIN_TIMEOUT_MS, signal: deadline.signal, ignoresBackOff: true },
      );
      return await answer.end(rest);
    } catch (error) {
      // Synapse leaves out the member who vouches for a restricted join, on whom that stands.
      if (error instanceof TooMuchLeftOut) return await this.#sendJoin(offer, { ...ask, omitsMembers: false });
      if (!(error instanceof RoomTooLarge)) throw error;
      // The others hold that the user is in the room.
      await this.#goAgain(resident, offer);
      throw new MatrixError(403, 'M_RESOURCE_LIMIT_EXCEEDED', config.roomComplexityError);
    } finally {
      timer.cancel();
      if (answer.droppedCount > 0) {
        log.warn('Events of a room that was joined are left out: their form or their signatures are wrong.', {
          roomId: event.roomId,
          server: resident,
          count: answer.droppedCount,
        });
      }
    }
  }

  /** Asks how complex a room is, so that none that is too large is joined and left again. Many servers do not tell. */
  async #checkComplexity(resident: ServerName, roomId: RoomId): Promise<void> {
    const { remote, config } = this.#deps;
    let complexity: number;
    try {
      const options = { timeoutMs: COMPLEXITY_TIMEOUT_MS };
      const { v1 } = await remote.call(resident, FEDERATION.getRoomComplexity, { params: { roomId } }, options);
      complexity = Number(rawNumberText(v1) ?? v1);
    } catch (error) {
      if (error instanceof RemoteError) return;
      throw error;
    }
    if (!(complexity > config.roomComplexityMax)) return;
    // Another server may say otherwise; whoever says too little is found out when it tells the state.
    throw new RemoteError('refused', config.roomComplexityError, {
      remoteStatus: 403,
      remoteBody: { errcode: 'M_RESOURCE_LIMIT_EXCEEDED' },
    });
  }

  #stateMaxFor(asker: Asker): number {
    const { refusesComplexRooms, roomComplexityMax, mayAdminsJoinComplexRooms } = this.#deps.config;
    if (!refusesComplexRooms || (asker.isAdmin && mayAdminsJoinComplexRooms)) return Number.POSITIVE_INFINITY;
    return Math.floor(roomComplexityMax * STATE_EVENTS_PER_COMPLEXITY);
  }

  /** Takes back a join that was sent; where that fails, nothing more can be done. */
  async #goAgain(resident: ServerName, { rules, event }: Offer): Promise<void> {
    const wish: Wish = { roomId: event.roomId, userId: event.sender, membership: 'leave', content: {} };
    try {
      await this.#sendLeave(resident, wish, rules);
    } catch (error) {
      this.#note(wish, resident, error as MatrixError);
    }
  }

  /**
   * Knocks on a room through servers that are in it.
   *
   * @throws MatrixError 403 and others as the other servers say, 404 where no server is known, 502 where none answers
   */
  knock(userId: UserId, roomId: RoomId, via: readonly ServerName[], content: JsonObject): Promise<void> {
    return this.#inTurn(roomId, async () => {
      const { rooms, remote } = this.#deps;
      const live = await rooms.find(roomId);
      const wish: Wish = { roomId, userId, membership: 'knock', content };
      const candidates = await this.#candidates(roomId, live, userId, via);
      await this.#firstToDo(wish, candidates, async (resident) => {
        const { rules, event } = await prepareMember(this.#deps, resident, wish, null);
        const params = { roomId, eventId: event.eventId };
        const options = { timeoutMs: SEND_TIMEOUT_MS, ignoresBackOff: true };
        const reply = await remote.call(resident, FEDERATION.sendKnock, { params, body: event.json }, options);
        const strippedState = readStrippedState(rules, roomId, reply.knock_room_state);
        await rooms.receiveOutOfBand({ roomId, rules, pdu: event, strippedState });
      });
    });
  }

  /**
   * Refuses an invite, or takes a knock back, in a room that this server is not in. Where no server takes the leave, the
   * user has left as far as this server goes.
   *
   * @returns `kept-here` where the room has come to be here meanwhile: then the user leaves it like any other
   */
  leave(userId: UserId, roomId: RoomId, content: JsonObject): Promise<'left' | 'kept-here'> {
    return this.#inTurn(roomId, async () => {
      const { rooms } = this.#deps;
      const live = await rooms.get(roomId);
      if (await this.isKeptHere(live, userId)) return 'kept-here';
      if (live.membershipOf(userId) === 'leave') return 'left';
      const wish: Wish = { roomId, userId, membership: 'leave', content };
      const { named, further } = await this.#candidates(roomId, live, userId, []);
      const candidates = { named: [...named, ...further].slice(0, LEAVE_CANDIDATES), further: [] };
      try {
        await this.#firstToDo(wish, candidates, async (resident) => {
          const pdu = await this.#sendLeave(resident, wish, live.rules);
          await rooms.receiveOutOfBand({ roomId, rules: live.rules, pdu, strippedState: null });
        });
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        await rooms.leaveOutOfBand(roomId, userId);
      }
      return 'left';
    });
  }

  async #sendLeave(resident: ServerName, wish: Wish, rules: RoomRules) {
    const { event } = await prepareMember(this.#deps, resident, wish, rules);
    const params = { roomId: wish.roomId, eventId: event.eventId };
    const options = { timeoutMs: SEND_TIMEOUT_MS, ignoresBackOff: true };
    await this.#deps.remote.call(resident, FEDERATION.sendLeaveV2, { params, body: event.json }, options);
    return event;
  }

  #firstToDo<T>(wish: Wish, candidates: Candidates, deed: (resident: ServerName) => Promise<T>): Promise<T> {
    if (candidates.named.length + candidates.further.length === 0)
      throw notFound('No server is known that is in this room.');
    const note = (server: ServerName, error: MatrixError) => this.#note(wish, server, error);
    return firstToDo({ clock: this.#deps.clock, note }, candidates, deed);
  }

  #note({ roomId, userId, membership }: Wish, server: ServerName, error: MatrixError): void {
    this.#deps.log.info('A server did not help with a membership.', {
      roomId,
      userId,
      membership,
      server,
      reason: error.message,
    });
  }

  /** Whom to ask: those named, whoever invited and those told of with that; else who made the room and who was in it. */
  async #candidates(
    roomId: RoomId,
    live: LiveRoom | null,
    userId: UserId,
    via: readonly ServerName[],
  ): Promise<Candidates> {
    const told = live === null ? [] : await this.#serversToldOf(live, userId);
    const members = live === null ? [] : live.remoteServers;
    return candidatesOf([...via, ...told], [serverNameOf(roomId), ...members], this.#deps.serverName);
  }

  /** Servers of those who invited a user, and of those in the state that came with the invite or the knock. */
  async #serversToldOf(live: LiveRoom, userId: UserId): Promise<ServerName[]> {
    const { db, events } = this.#deps;
    const row = await findMembership(db, live.roomNo, userId);
    if (row === undefined || (row.membership !== 'invite' && row.membership !== 'knock')) return [];
    const text = await findStrippedState(db, live.roomNo, userId);
    const stripped: JsonValue[] = text === null ? [] : JSON.parse(text);
    const senders = stripped.map((event) => (isJsonObject(event) ? parseUserId(event['sender']) : null));
    const inviter = (await events.get(row.eventNo)).pdu.sender;
    return [inviter, ...senders].flatMap((sender) => (sender === null ? [] : [serverNameOf(sender)]));
  }

  async #inTurn<T>(roomId: RoomId, deed: () => Promise<T>): Promise<T> {
    try {
      return await this.#byRoom.run(roomId, deed);
    } catch (error) {
      if (!(error instanceof QueueFull)) throw error;
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many joins are at work.', { retry_after_ms: 5000 });
    }
  }
}

/** As if the server had said so itself, where it let somebody in who is banned. */
function refusalOfBanned(resident: ServerName): RemoteError {
  const error = `You are banned from the room, as ${resident} tells.`;
  return new RemoteError('refused', error, { remoteStatus: 403, remoteBody: { errcode: 'M_FORBIDDEN', error } });
}
