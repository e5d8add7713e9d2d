/** A room of a test server in which a played server takes part: with a user of its own, and events that it made. */
import assert from 'node:assert/strict';
import type { JsonObject, JsonValue } from '../../src/core/json-value.ts';
import type { Pdu } from '../../src/core/pdu.ts';
import type { RoomVersion } from '../../src/core/room-versions.ts';
import type { EventFields, RemoteEvent, RemoteServer, SignedRequestChanges } from '../../src/testing/remote-server.ts';
import { succeeded, type TestRoom, type TestUser } from '../../src/testing/test-client.ts';

type StateEvent = { readonly event_id: string; readonly type: string; readonly state_key: string };

let transactions = 0;
/** When a clock that is turned by hand begins. */
const START_MS = 1_700_000_000_000;

export class PlayedRoom {
  readonly id: string;
  readonly version: RoomVersion;
  readonly remote: RemoteServer;
  readonly bob: string;
  /** By type and state key, the IDs of the state events that events of the played server rest on. */
  readonly state = new Map<string, string>();
  /** What the played server has and can be asked for. */
  readonly events = new Map<string, RemoteEvent>();
  /** What its next event stands on. */
  tips: string[] = [];
  depth = 100;

  constructor(remote: RemoteServer, roomId: string, version: RoomVersion) {
    this.remote = remote;
    this.id = roomId;
    this.version = version;
    this.bob = remote.userId('bob');
  }

  /** Takes over state and tip of a room as a user of the test server sees them. */
  async look(user: TestUser): Promise<void> {
    const path = `/v3/rooms/${encodeURIComponent(this.id)}`;
    const state: StateEvent[] = succeeded(await user.get(`${path}/state`));
    for (const event of state) this.state.set(`${event.type}|${event.state_key}`, event.event_id);
    const { chunk } = succeeded(await user.get(`${path}/messages`, { dir: 'b', limit: 1 }));
    this.tips = [chunk[0].event_id];
  }

  /** An event of the played server on top of its last one. It is not sent. */
  build(fields: Partial<EventFields> & Pick<EventFields, 'type' | 'content'>): RemoteEvent {
    const sender = fields.sender ?? this.bob;
    const keys = ['m.room.create|', 'm.room.power_levels|', `m.room.member|${sender}`];
    const comesIn = /^(?:join|invite|knock)$/.test(String(fields.content['membership']));
    if (fields.type === 'm.room.member' && comesIn) keys.push('m.room.join_rules|');
    if (fields.type === 'm.room.member' && fields.stateKey !== sender) keys.push(`m.room.member|${fields.stateKey}`);
    const event = this.remote.buildEvent(this.version, {
      roomId: this.id,
      sender,
      prevEvents: this.tips,
      authEvents: keys.flatMap((key) =>
        key === 'm.room.create|' && this.version === '12' ? [] : (this.state.get(key) ?? []),
      ),
      depth: ++this.depth,
      // Later events are later: where two contradict each other that decides.
      originServerTs: START_MS + this.depth,
      ...fields,
    });
    this.keep(event);
    return event;
  }

  /** The played server has an event: its next one stands on it. */
  keep(event: RemoteEvent): void {
    this.events.set(event.eventId, event);
    this.tips = [event.eventId];
    const { type, stateKey } = event.pdu;
    if (stateKey !== null) this.state.set(`${type}|${stateKey}`, event.eventId);
  }

  say(body: string, fields: Partial<EventFields> = {}): RemoteEvent {
    return this.build({ type: 'm.room.message', content: { msgtype: 'm.text', body }, ...fields });
  }

  /** Pushes a transaction; gives the reply's results by event ID. */
  async send(
    events: readonly (RemoteEvent | JsonValue)[],
    options: {
      readonly edus?: readonly JsonValue[];
      readonly txnId?: string;
      readonly changes?: SignedRequestChanges;
    } = {},
  ): Promise<Record<string, { error?: string }>> {
    return succeeded(await this.push(events, options)).pdus;
  }

  push(
    events: readonly (RemoteEvent | JsonValue)[],
    { edus = [], txnId = `played${++transactions}`, changes }: Parameters<PlayedRoom['send']>[1] = {},
  ) {
    const body = {
      origin: this.remote.serverName,
      origin_server_ts: 0,
      pdus: events.map((event) => (isEvent(event) ? event.json : event)),
      edus,
    };
    return this.remote.signedRequest('PUT', `/_matrix/federation/v1/send/${encodeURIComponent(txnId)}`, body, changes);
  }

  /** Its user joins, by a transaction. */
  async join(): Promise<RemoteEvent> {
    const joined = this.build({ type: 'm.room.member', stateKey: this.bob, content: { membership: 'join' } });
    assert.deepEqual(await this.send([joined]), { [joined.eventId]: {} });
    return joined;
  }

  /** From now on the played server answers honestly what it is asked about the room. */
  answer(): void {
    const { remote } = this;
    const json = (eventId: string): JsonObject[] => [this.events.get(eventId)?.json ?? []].flat();
    remote.route('POST', /\/get_missing_events\//, ({ body }) => {
      const { earliest_events: earliest, latest_events: latest, limit } = body as unknown as Missing;
      const found = this.#back(latest, new Set([...earliest, ...latest]), limit);
      return { json: { events: found.map((event) => event.json).reverse() } };
    });
    remote.route('GET', /\/backfill\//, ({ query }) => {
      const from = query.getAll('v');
      const first = from.flatMap((eventId) => this.events.get(eventId) ?? []);
      const more = this.#back(from, new Set(from), Number(query.get('limit')) - first.length);
      return { json: { pdus: [...first, ...more].map((event) => event.json) } };
    });
    remote.route('GET', /\/event\//, ({ path }) => {
      const found = json(decodeURIComponent(path.split('/').at(-1)!));
      return found.length === 0 ? NOT_FOUND : { json: { pdus: found } };
    });
    remote.route('GET', /\/state_ids\//, ({ query }) => {
      const before = this.#stateBefore(query.get('event_id')!);
      return before === null ? NOT_FOUND : { json: { pdu_ids: before, auth_chain_ids: before } };
    });
    remote.route('GET', /\/state\//, ({ query }) => {
      const before = this.#stateBefore(query.get('event_id')!);
      return before === null ? NOT_FOUND : { json: { pdus: before.flatMap(json), auth_chain: before.flatMap(json) } };
    });
    remote.route('GET', /\/event_auth\//, ({ path }) => {
      const event = this.events.get(decodeURIComponent(path.split('/').at(-1)!));
      return event === undefined ? NOT_FOUND : { json: { auth_chain: this.#authChain(event.pdu).flatMap(json) } };
    });
  }

  #back(from: readonly string[], seen: Set<string>, limit: number): RemoteEvent[] {
    const found: RemoteEvent[] = [];
    let front = [...from];
    while (front.length > 0) {
      const next = front.flatMap((eventId) => this.events.get(eventId)?.pdu.prevEvents ?? []);
      front = next.filter((eventId) => !seen.has(eventId));
      for (const eventId of front) {
        seen.add(eventId);
        const event = this.events.get(eventId);
        if (event !== undefined && found.length < limit) found.push(event);
      }
    }
    return found;
  }

  /** The state of now, less what came with the event or later. */
  #stateBefore(eventId: string): string[] | null {
    const event = this.events.get(eventId);
    if (event === undefined) return null;
    const isLater = (id: string): boolean => (this.events.get(id)?.pdu.depth ?? 0) >= event.pdu.depth;
    return [...this.state.values()].filter((id) => !isLater(id));
  }

  #authChain(pdu: Pdu): string[] {
    const chain = new Set<string>();
    const ahead: string[] = [...pdu.authEvents];
    for (let eventId = ahead.pop(); eventId !== undefined; eventId = ahead.pop()) {
      if (chain.has(eventId)) continue;
      chain.add(eventId);
      ahead.push(...(this.events.get(eventId)?.pdu.authEvents ?? []));
    }
    return [...chain];
  }
}

type Missing = { readonly earliest_events: string[]; readonly latest_events: string[]; readonly limit: number };

const NOT_FOUND = { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'The played server has no such event.' } };

const isEvent = (event: RemoteEvent | JsonValue): event is RemoteEvent =>
  typeof event === 'object' && event !== null && 'pdu' in event;

export type PlayedRoomOptions = {
  readonly version?: RoomVersion;
  readonly content?: object;
  /** Awaited until all that was answered can be read: on PostgreSQL later than that, while others write. */
  readonly settle?: () => Promise<void>;
};

/** A public room of a user's that a user of the played server has joined; the played server answers about it. */
export async function playedRoom(
  remote: RemoteServer,
  user: TestUser,
  { version = '11', content = {}, settle = async () => {} }: PlayedRoomOptions = {},
): Promise<{ readonly room: TestRoom; readonly played: PlayedRoom }> {
  const room = await user.createRoom({ preset: 'public_chat', room_version: version, ...content });
  const played = new PlayedRoom(remote, room.id, version);
  await settle();
  await played.look(user);
  await played.join();
  played.answer();
  return { room, played };
}
