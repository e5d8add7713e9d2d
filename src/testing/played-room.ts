/**
 * A room that lies on a played homeserver: it grows as the test says, and takes in joins, knocks and leaves as a resident
 * server does. For joins of a test server, honest and hostile ones.
 */
import { authEventKeys } from '../core/auth-events.ts';
import { eventIdOf } from '../core/event-hash.ts';
import type { RoomId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { type StateKeyTuple, stateKeyTuple } from '../core/pdu.ts';
import { pduFromStored } from '../core/pdu-format.ts';
import { findRoomRules, type RoomRules, type RoomVersion } from '../core/room-versions.ts';
import type { EventFields, RemoteEvent, RemoteReply, RemoteRequest, RemoteServer } from './remote-server.ts';

export type PlayedRoomOptions = {
  readonly version?: RoomVersion;
  readonly joinRules?: JsonObject;
};

/** What it says to a request of which kind, before it says it: a test changes that at will. */
export type Spoil = (
  reply: JsonObject,
  request: { readonly body: JsonValue | undefined },
) => RemoteReply | Promise<RemoteReply>;

type Kind = `${'make' | 'send'}_${'join' | 'leave' | 'knock'}` | 'state' | 'state_ids';

export class PlayedRoom {
  readonly remote: RemoteServer;
  readonly version: RoomVersion;
  readonly rules: RoomRules;
  readonly roomId: RoomId;
  readonly creator: string;
  /** The current state. */
  readonly state = new Map<StateKeyTuple, RemoteEvent>();
  /** State events that others took the place of. */
  readonly replaced: RemoteEvent[] = [];
  /** What it took in from others. */
  readonly received: JsonObject[] = [];
  /** Changes to what it answers, by request. */
  readonly spoils = new Map<Kind, Spoil>();
  /** Whether it leaves the members out of the state where it is let. */
  omitsMembers = false;
  /** The servers that it says are in the room; itself where nothing is set. */
  serversInRoom: JsonValue = null;
  /** The state before each event of the room. */
  readonly #statesBefore = new Map<string, readonly RemoteEvent[]>();
  last: RemoteEvent;

  constructor(remote: RemoteServer, { version = '11', joinRules = { join_rule: 'public' } }: PlayedRoomOptions = {}) {
    this.remote = remote;
    this.version = version;
    this.rules = findRoomRules(version)!;
    this.creator = remote.userId('creator');
    const { creatorsArePrivileged, creatorFrom, roomIdIsCreateHash } = this.rules;
    const create = remote.buildEvent(version, {
      roomId: roomIdIsCreateHash ? null : `!played${++PlayedRoom.#made}:${remote.serverName}`,
      type: 'm.room.create',
      stateKey: '',
      sender: this.creator,
      content: { room_version: version, ...(creatorFrom === 'content' ? { creator: this.creator } : {}) },
    });
    this.roomId = create.pdu.roomId;
    this.last = create;
    this.#place(create);
    this.add('m.room.member', this.creator, { membership: 'join' });
    this.add('m.room.power_levels', '', creatorsArePrivileged ? {} : { users: { [this.creator]: 100 } });
    this.add('m.room.join_rules', '', joinRules);
    this.#serve();
  }

  static #made = 0;

  /** Adds an event of a user of the played server, the creator where nobody is named. */
  add(
    type: string,
    stateKey: string | null,
    content: JsonObject,
    { sender = this.creator, ...changes }: Partial<EventFields> = {},
  ): RemoteEvent {
    const event = this.build(type, stateKey, content, { sender, ...changes });
    this.#statesBefore.set(event.eventId, [...this.state.values()]);
    this.last = event;
    if (stateKey !== null) this.#place(event);
    return event;
  }

  /** Puts the newest event in again, as another server signed it too. */
  replaceLast(json: JsonObject): void {
    const { eventId } = this.last;
    this.last = { eventId, json, pdu: pduFromStored(this.rules, this.last.pdu.eventId, json) };
    this.state.set(stateKeyTuple(this.last.pdu.type, this.last.pdu.stateKey!), this.last);
  }

  /** An event that could come next, which the room does not take in. */
  build(
    type: string,
    stateKey: string | null,
    content: JsonObject,
    { sender = this.creator, ...changes }: Partial<EventFields> = {},
  ): RemoteEvent {
    const { roomId, version } = this;
    const place = this.#placeOf(type, stateKey, sender, content);
    return this.remote.buildEvent(version, { roomId, type, stateKey, sender, content, ...place, ...changes });
  }

  #place(event: RemoteEvent): void {
    const key = stateKeyTuple(event.pdu.type, event.pdu.stateKey!);
    const before = this.state.get(key);
    if (before !== undefined) this.replaced.push(before);
    this.state.set(key, event);
  }

  #placeOf(type: string, stateKey: string | null, sender: string, content: JsonObject) {
    const keys = authEventKeys(this.rules, { type, stateKey, sender: sender as RemoteEvent['pdu']['sender'], content });
    const authEvents = keys.flatMap(([each, key]) => this.state.get(stateKeyTuple(each, key))?.eventId ?? []);
    return { prevEvents: [this.last.eventId], authEvents, depth: this.last.pdu.depth + 1 };
  }

  /** The template of a member event. */
  template(userId: string, membership: string, content: JsonObject = {}): JsonObject {
    const full = { membership, ...content };
    const { prevEvents, authEvents, depth } = this.#placeOf('m.room.member', userId, userId, full);
    const named = (eventId: string): JsonValue => (this.rules.hasEventReferencePairs ? [eventId, {}] : eventId);
    return {
      type: 'm.room.member',
      room_id: this.roomId,
      state_key: userId,
      sender: userId,
      content: full,
      depth,
      prev_events: prevEvents.map(named),
      auth_events: authEvents.map(named),
      origin_server_ts: 1,
    };
  }

  /** What it tells of itself: the state, and beside it all state that there was: the auth chain is in it. */
  told(): { state: JsonObject[]; auth_chain: JsonObject[] } {
    const jsonOf = (events: Iterable<RemoteEvent>) => [...events].map(({ json }) => json);
    return { state: jsonOf(this.state.values()), auth_chain: jsonOf(this.replaced) };
  }

  /** The same with the members left out but for those on which the rest stands. */
  toldWithoutMembers(): JsonObject {
    const state = [...this.state.values()].filter(({ pdu }) => pdu.type !== 'm.room.member');
    const jsonOf = (events: readonly RemoteEvent[]) => events.map(({ json }) => json);
    const servers_in_room = this.serversInRoom ?? [this.remote.serverName];
    return { state: jsonOf(state), auth_chain: jsonOf(this.#chainOf(state)), members_omitted: true, servers_in_room };
  }

  /** What events rest on, without themselves. */
  #chainOf(events: readonly RemoteEvent[]): RemoteEvent[] {
    const all = new Map([...this.replaced, ...this.state.values()].map((event) => [event.eventId, event]));
    const chain = new Map<string, RemoteEvent>();
    const ahead = events.flatMap(({ pdu }) => [...pdu.authEvents]);
    for (let eventId = ahead.pop(); eventId !== undefined; eventId = ahead.pop()) {
      const event = all.get(eventId);
      if (event === undefined || chain.has(eventId)) continue;
      chain.set(eventId, event);
      ahead.push(...event.pdu.authEvents);
    }
    for (const { eventId } of events) chain.delete(eventId);
    return [...chain.values()];
  }

  #stateAt(query: URLSearchParams): { readonly state: readonly RemoteEvent[]; readonly chain: readonly RemoteEvent[] } {
    const state = this.#statesBefore.get(query.get('event_id') ?? '') ?? [];
    return { state, chain: this.#chainOf(state) };
  }

  /** What it was asked of a kind. */
  requests(kind: Kind) {
    return this.remote.requestsTo(new RegExp(`/${kind}/${encodeURIComponent(this.roomId)}(?:/|$)`));
  }

  #serve(): void {
    const { version: room_version } = this;
    for (const membership of ['join', 'leave', 'knock'] as const) {
      this.#answer('GET', `make_${membership}`, ({ path }) => {
        const userId = decodeURIComponent(path.split('/').at(-1)!);
        return { room_version, event: this.template(userId, membership) };
      });
    }
    this.#answer('PUT', 'send_join', ({ body, query }) => {
      const isPartial = this.omitsMembers && query.get('omit_members') === 'true';
      const told = isPartial ? this.toldWithoutMembers() : this.told();
      const event = this.takeIn(body);
      return { ...told, origin: this.remote.serverName, event };
    });
    this.remote.route('GET', /^\/_matrix\/federation\/v1\/event\//, ({ path }) => {
      const eventId = decodeURIComponent(path.split('/').at(-1)!);
      const event = [...this.replaced, ...this.state.values()].find((each) => each.eventId === eventId);
      if (event === undefined)
        return { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Not an event of this room.' } };
      return { json: { origin: this.remote.serverName, origin_server_ts: 1, pdus: [event.json] } };
    });
    this.#answer('GET', 'state_ids', ({ query }) => {
      const { state, chain } = this.#stateAt(query);
      return { pdu_ids: state.map(({ eventId }) => eventId), auth_chain_ids: chain.map(({ eventId }) => eventId) };
    });
    this.#answer('GET', 'state', ({ query }) => {
      const { state, chain } = this.#stateAt(query);
      return { pdus: state.map(({ json }) => json), auth_chain: chain.map(({ json }) => json) };
    });
    this.#answer('PUT', 'send_leave', ({ body }) => {
      this.takeIn(body);
      return {};
    });
    this.#answer('PUT', 'send_knock', ({ body }) => {
      this.takeIn(body);
      const stripped = [...this.state.values()].map(({ pdu: { type, stateKey, sender, content } }) => {
        return { type, state_key: stateKey, sender, content };
      });
      return { knock_room_state: stripped.filter(({ type }) => type !== 'm.room.member') };
    });
  }

  #answer(method: string, kind: Kind, say: (request: RemoteRequest) => JsonObject): void {
    const path = new RegExp(`^/_matrix/federation/v\\d/${kind}/${encodeURIComponent(this.roomId)}(?:/|$)`);
    this.remote.route(method, path, (request) => {
      const spoil = this.spoils.get(kind) ?? ((json) => ({ json }));
      return spoil(say(request), request);
    });
  }

  /** Takes an event in, signed where one of its users lets another one in. */
  takeIn(body: JsonValue | undefined): JsonObject {
    const sent = isJsonObject(body) && isJsonObject(body['content']) ? body : { content: {} };
    // The server under test sends these.
    const content = sent['content'] as JsonObject;
    const isLetIn = content['join_authorised_via_users_server'] !== undefined;
    const json = isLetIn ? this.remote.signEvent(this.rules, sent) : sent;
    this.received.push(json);
    const eventId = eventIdOf(this.rules, json);
    const pdu = pduFromStored(this.rules, eventId, json);
    this.#statesBefore.set(eventId, [...this.state.values()]);
    this.last = { eventId, json, pdu };
    this.#place(this.last);
    return json;
  }
}
