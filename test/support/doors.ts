/**
 * Events with the same faults, by each door that events of other servers come in by (threat A3). Whoever adds a door adds
 * it here.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '../../src/core/json-value.ts';
import { redact } from '../../src/core/redaction.ts';
import { findRoomRules, type RoomVersion } from '../../src/core/room-versions.ts';
import { signingKeyFromSeed } from '../../src/core/signing.ts';
import { PlayedRoom as FarRoom } from '../../src/testing/played-room.ts';
import type { RemoteEvent, RemoteServer } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestUser } from '../../src/testing/test-client.ts';
import { fill, hand, make, V2, type Wish } from './handshakes.ts';
import { type PlayedRoom, playedRoom } from './played-room.ts';

const EXPIRED = signingKeyFromSeed('expired', Buffer.alloc(32, 41));
const FOREIGN = signingKeyFromSeed('foreign', Buffer.alloc(32, 42));

/** What becomes of an event: it comes in as it is, redacted, or not at all. */
export type Fate = 'whole' | 'redacted' | 'gone';

export type Fault = {
  readonly name: string;
  readonly fate: (version: RoomVersion) => Fate;
  spoil(json: JsonObject, remote: RemoteServer, version: RoomVersion): JsonObject;
};

const gone = (): Fate => 'gone';
const unsigned = (json: JsonObject): JsonObject => ({ ...json, signatures: {} });
const signedWith = (key: typeof FOREIGN): Fault['spoil'] => {
  return (json, remote, version) => remote.signEvent(findRoomRules(version)!, unsigned(json), key);
};

export const FAULTS: readonly Fault[] = [
  { name: 'none', fate: () => 'whole', spoil: (json) => json },
  { name: 'no signature', fate: gone, spoil: unsigned },
  {
    name: 'a signature by another key under the ID of the right one',
    fate: gone,
    spoil: (json, remote, version) => signedWith({ ...FOREIGN, keyId: remote.signingKey.keyId })(json, remote, version),
  },
  { name: 'a signature under a key ID that its server does not have', fate: gone, spoil: signedWith(FOREIGN) },
  {
    name: 'a signature by a key that had expired',
    fate: (version) => (Number(version) >= 5 ? 'gone' : 'whole'),
    spoil: signedWith(EXPIRED),
  },
  {
    name: 'a content that is not the one that was hashed',
    fate: () => 'redacted',
    spoil: (json) => ({ ...json, content: { ...(json['content'] as JsonObject), changed: 'on the way' } }),
  },
  {
    name: 'a top-level key that nobody hashed',
    fate: () => 'redacted',
    spoil: (json) => ({ ...json, 'org.example.extra': { of: 'mine' } }),
  },
];

/** Where events are brought in. */
export type DoorScene = {
  /** Who brings them; `publishExpiredKey` was called for it. */
  readonly remote: RemoteServer;
  readonly alice: TestUser;
  readonly settle?: () => Promise<void>;
  /** The content of an event as the database has it; null where it has none. */
  contentOf(eventId: string): Promise<JsonObject | null>;
};

/** The server has a key that expired before anything was sent. */
export function publishExpiredKey(remote: RemoteServer, nowMs: number): void {
  const oldKeys = { [EXPIRED.keyId]: { key: EXPIRED.publicKey, expiredTs: nowMs - 86_400_000 } };
  remote.keys = () => remote.honestKeys({ oldKeys });
}

type Spoil = (event: RemoteEvent) => JsonObject;

export type Door = {
  readonly name: string;
  /** Whether an event of which only the redacted form is good is refused here: it was made for us just now. */
  readonly wantsWhole?: boolean;
  /** Hands over an event, spoilt; gives the event as it was. */
  bring(scene: DoorScene, version: RoomVersion, spoil: Spoil): Promise<RemoteEvent>;
};

/** A room of Alice's in which the other server's user may do everything. */
async function openRoom({ remote, alice, settle }: DoorScene, version: RoomVersion): Promise<PlayedRoom> {
  const users = { [alice.userId]: 100, [remote.userId('bob')]: 100 };
  const { played } = await playedRoom(remote, alice, {
    version,
    content: { power_level_content_override: { users } },
    ...(settle === undefined ? {} : { settle }),
  });
  return played;
}

const topicOf = (played: PlayedRoom): RemoteEvent =>
  played.build({ type: 'm.room.topic', stateKey: '', content: { topic: 'as it was signed' } });

const NOT_FOUND = { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Not told.' } };
const silence = (remote: RemoteServer, path: RegExp): void => {
  for (const method of ['GET', 'POST']) remote.route(method, path, () => NOT_FOUND);
};

/** The event is asked for by its ID, where the state at an event behind a gap is to be found. */
function tellSpoiltEvent(remote: RemoteServer, event: RemoteEvent, spoil: Spoil): void {
  const path = new RegExp(`/event/${encodeURIComponent(event.eventId)}$`);
  remote.route('GET', path, () => ({ json: { pdus: [spoil(event)] } }));
}

/** Of a membership that a user of the other server's wishes for, by way of us. */
function handshakeDoor(wish: Wish): Door {
  return {
    name: `a ${wish} through us`,
    wantsWhole: true,
    async bring(scene, version, spoil) {
      const { remote, alice } = scene;
      const room = await alice.createRoom({
        room_version: version,
        initial_state: [{ type: 'm.room.join_rules', content: { join_rule: wish === 'knock' ? 'knock' : 'public' } }],
      });
      const bob = remote.userId('bob');
      const versions = [version];
      if (wish === 'leave') {
        const joined = succeeded(await make(remote, 'join', room.id, bob, versions)).event;
        succeeded(await hand(remote, 'join', room.id, fill(remote, version, joined)));
      }
      const event = fill(remote, version, succeeded(await make(remote, wish, room.id, bob, versions)).event);
      const reply = await hand(remote, wish, room.id, { eventId: event.eventId, json: spoil(event) });
      assert.ok(reply.status < 500, `${reply.status}`);
      return event;
    },
  };
}

export const DOORS: readonly Door[] = [
  {
    name: 'a transaction',
    async bring(scene, version, spoil) {
      const played = await openRoom(scene, version);
      const topic = topicOf(played);
      await played.send([spoil(topic)]);
      return topic;
    },
  },
  {
    name: 'get_missing_events',
    async bring(scene, version, spoil) {
      const played = await openRoom(scene, version);
      const topic = topicOf(played);
      const last = played.say('last');
      silence(scene.remote, /\/(?:event|state|state_ids|event_auth|backfill)\//);
      scene.remote.route('POST', /\/get_missing_events\//, () => ({ json: { events: [spoil(topic)] } }));
      await played.send([last]);
      return topic;
    },
  },
  {
    name: 'backfill',
    async bring(scene, version, spoil) {
      const played = await openRoom(scene, version);
      const early = played.say('early');
      played.say('late');
      const last = played.say('last');
      silence(scene.remote, /\/get_missing_events\//);
      await played.send([last]);
      assert.equal(await scene.contentOf(early.eventId), null, 'it is behind a gap');
      const events = [...played.events.values()].filter(({ eventId }) => eventId !== last.eventId);
      await scene.settle?.();
      const pdus = events.map((event) => (event === early ? spoil(event) : event.json)).reverse();
      scene.remote.route('GET', /\/backfill\//, () => ({ json: { pdus } }));
      tellSpoiltEvent(scene.remote, early, spoil);
      succeeded(await scene.alice.get(roomPath(played.id, 'messages'), { dir: 'b', limit: 50 }));
      return early;
    },
  },
  {
    name: 'state_ids and event',
    async bring(scene, version, spoil) {
      const played = await openRoom(scene, version);
      const topic = topicOf(played);
      played.say('late');
      const last = played.say('last');
      silence(scene.remote, /\/(?:get_missing_events|state|event_auth|backfill)\//);
      tellSpoiltEvent(scene.remote, topic, spoil);
      await played.send([last]);
      return topic;
    },
  },
  {
    name: 'state',
    async bring(scene, version, spoil) {
      const { remote } = scene;
      const played = await openRoom(scene, version);
      // More than are asked for one by one.
      for (let number = 0; number < 60; number++) {
        played.build({ type: 'org.example.state', stateKey: `${number}`, content: {} });
      }
      const topic = topicOf(played);
      const state = [...played.events.values()].filter(({ pdu }) => pdu.stateKey !== null);
      const late = played.say('late');
      const last = played.say('last');
      silence(remote, /\/(?:get_missing_events|event_auth|backfill)\//);
      const pdus = state.map((event) => (event === topic ? spoil(event) : event.json));
      remote.route('GET', /\/state\//, () => ({ json: { pdus, auth_chain: [] } }));
      silence(remote, new RegExp(`/event/(?!${encodeURIComponent(late.eventId)})`));
      await played.send([last]);
      return topic;
    },
  },
  {
    name: 'event_auth',
    async bring(scene, version, spoil) {
      const { remote } = scene;
      const played = await openRoom(scene, version);
      const named = played.build({
        type: 'm.room.member',
        stateKey: played.bob,
        content: { membership: 'join', displayname: 'B' },
      });
      const last = played.say('last');
      silence(remote, /\/(?:get_missing_events|event|state|state_ids|backfill)\//);
      remote.route('GET', /\/event_auth\//, () => ({ json: { auth_chain: [spoil(named)] } }));
      await played.send([last]);
      return named;
    },
  },
  ...(['state', 'auth_chain'] as const).map(
    (list): Door => ({
      name: `the ${list} in the answer to a join`,
      async bring({ remote, alice }, version, spoil) {
        const room = new FarRoom(remote, { version });
        const topic = room.add('m.room.topic', '', { topic: 'as it was signed' });
        if (list === 'auth_chain') room.add('m.room.topic', '', { topic: 'another' });
        room.spoils.set('send_join', (reply) => {
          const events = (reply[list] as JsonObject[]).map((json) => (json === topic.json ? spoil(topic) : json));
          return { json: { ...reply, [list]: events } };
        });
        succeeded(await alice.post(`/v3/join/${encodeURIComponent(room.roomId)}?via=${remote.serverName}`));
        return topic;
      },
    }),
  ),
  {
    name: 'an invite',
    wantsWhole: true,
    async bring({ remote, alice }, version, spoil) {
      const room = new FarRoom(remote, { version });
      const invite = room.build('m.room.member', alice.userId, { membership: 'invite' });
      const path = `${V2}/invite/${encodeURIComponent(room.roomId)}/${encodeURIComponent(invite.eventId)}`;
      const body = { event: spoil(invite), room_version: version, invite_room_state: [] };
      const reply = await remote.signedRequest('PUT', path, body);
      assert.ok(reply.status < 500, `${reply.status}`);
      return invite;
    },
  },
  handshakeDoor('join'),
  handshakeDoor('leave'),
  handshakeDoor('knock'),
];

/** Whether the room version has what a door is for. */
export const hasDoor = (door: Door, version: RoomVersion): boolean =>
  !door.name.includes('knock') || Number(version) >= 7;

/** Brings an event with a fault through a door. Throws where anything but what must become of it does. */
export async function tryDoor(scene: DoorScene, door: Door, version: RoomVersion, fault: Fault): Promise<void> {
  const event = await door.bring(scene, version, ({ json }) => fault.spoil(json, scene.remote, version));
  const wanted = fault.fate(version);
  const content = await scene.contentOf(event.eventId);
  const whole = event.json['content'];
  const bare = redact(findRoomRules(version)!, event.json)['content'];
  const isWhole = isDeepStrictEqual(content, whole);
  const fate: Fate = content === null ? 'gone' : isWhole ? 'whole' : 'redacted';
  const said = `${door.name}, room version ${version}: ${fault.name}`;
  if (fate === 'redacted') assert.deepEqual(content, bare, said);
  assert.equal(fate, wanted === 'redacted' && door.wantsWhole === true ? 'gone' : wanted, said);
}
