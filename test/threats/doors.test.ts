/** Events with the same faults, by each door that events of other servers come in by. Whoever adds a door adds it here. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../../src/core/json-value.ts';
import type { RoomVersion } from '../../src/core/room-versions.ts';
import { signingKeyFromSeed } from '../../src/core/signing.ts';
import { handClock } from '../../src/kit/clock.ts';
import { PlayedRoom } from '../../src/testing/played-room.ts';
import { type RemoteServer, remoteServer } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import { testServer } from '../../src/testing/test-server.ts';

const EXPIRED = signingKeyFromSeed('expired', Buffer.alloc(32, 41));
const FOREIGN = signingKeyFromSeed('foreign', Buffer.alloc(32, 42));

/** What becomes of an event: it comes in as it is, redacted, or not at all. */
type Fate = 'whole' | 'redacted' | 'gone';

type Fault = {
  readonly name: string;
  readonly fate: (version: RoomVersion) => Fate;
  spoil(json: JsonObject, remote: RemoteServer, room: PlayedRoom): JsonObject;
};

const gone = (): Fate => 'gone';
const unsigned = (json: JsonObject): JsonObject => ({ ...json, signatures: {} });

const FAULTS: readonly Fault[] = [
  { name: 'none', fate: () => 'whole', spoil: (json) => json },
  { name: 'no signature', fate: gone, spoil: unsigned },
  {
    name: 'a signature by another key under the ID of the right one',
    fate: gone,
    spoil: (json, remote, { rules }) =>
      remote.signEvent(rules, unsigned(json), { ...FOREIGN, keyId: remote.signingKey.keyId }),
  },
  {
    name: 'a signature under a key ID that its server does not have',
    fate: gone,
    spoil: (json, remote, { rules }) => remote.signEvent(rules, unsigned(json), FOREIGN),
  },
  {
    name: 'a signature by a key that had expired',
    fate: (version) => (Number(version) >= 5 ? 'gone' : 'whole'),
    spoil: (json, remote, { rules }) => remote.signEvent(rules, unsigned(json), EXPIRED),
  },
  {
    name: 'a content that is not the one that was hashed',
    fate: () => 'redacted',
    spoil: (json) => ({ ...json, content: { topic: 'changed on the way' } }),
  },
  {
    name: 'a top-level key that nobody hashed',
    fate: () => 'redacted',
    spoil: (json) => ({ ...json, 'org.example.extra': { of: 'mine' } }),
  },
];

type Door = {
  readonly name: string;
  /** Hands over a room's topic, spoilt, and says what came of it. */
  bring(t: TestContext, version: RoomVersion, fault: Fault): Promise<Fate>;
};

async function scene(t: TestContext, version: RoomVersion) {
  const clock = handClock();
  const server = await testServer(t, { clock });
  const remote = await remoteServer(t, server);
  const oldKeys = { [EXPIRED.keyId]: { key: EXPIRED.publicKey, expiredTs: clock.now() - 1 } };
  remote.keys = () => remote.honestKeys({ oldKeys });
  const room = new PlayedRoom(remote, { version });
  const topic = room.add('m.room.topic', '', { topic: 'as it was signed' });
  return { server, remote, room, topic, alice: await server.user('alice') };
}

function fateOf(topic: JsonObject | undefined): Fate {
  if (topic === undefined) return 'gone';
  const content = JSON.stringify(topic['content']);
  assert.ok(content === '{}' || content === '{"topic":"as it was signed"}', content);
  return content === '{}' ? 'redacted' : 'whole';
}

const DOORS: readonly Door[] = [
  {
    name: 'the state in the answer to a join',
    async bring(t, version, fault) {
      const { remote, room, topic, alice } = await scene(t, version);
      room.spoils.set('send_join', (reply) => {
        const state = (reply['state'] as JsonObject[]).map((json) =>
          json === topic.json ? fault.spoil(json, remote, room) : json,
        );
        return { json: { ...reply, state } };
      });
      succeeded(await alice.post(`/v3/join/${encodeURIComponent(room.roomId)}?via=remote.test`));
      const state: JsonObject[] = succeeded(await alice.get(roomPath({ id: room.roomId }, 'state')));
      return fateOf(state.find(({ type }) => type === 'm.room.topic'));
    },
  },
];

for (const door of DOORS) {
  for (const version of ['4', '11'] as RoomVersion[]) {
    test(`faults of events by this door: ${door.name}, room version ${version} (A3)`, async (t) => {
      for (const fault of FAULTS) assert.equal(await door.bring(t, version, fault), fault.fate(version), fault.name);
    });
  }
}
