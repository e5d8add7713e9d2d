/** Two people talk in an encrypted room, through a real client library with its cryptography, on one server and on two. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventType, type MatrixEvent, Preset } from 'matrix-js-sdk';
import { testNetwork } from '../../src/testing/test-network.ts';
import { PASSWORD } from '../../src/testing/test-server.ts';
import { Person } from './person.ts';
import { e2eKinds, e2eServer } from './server.ts';

const TIMEOUT = { timeout: 120_000 };
const ENCRYPTION = {
  type: EventType.RoomEncryption,
  state_key: '',
  content: { algorithm: 'm.megolm.v1.aes-sha2' },
};

/** What a message says once this person's client has read it. */
function readOf(person: Person, roomId: string, eventId: string): Promise<MatrixEvent> {
  return person.sees(`${eventId} decrypted`, () => {
    const event = person.client.getRoom(roomId)?.findEventById(eventId);
    return event?.getType() === EventType.RoomMessage ? event : null;
  });
}

/** Both talk, each reads the other, and nobody but they could. */
async function talk(alice: Person, bob: Person, via: string[]): Promise<string> {
  const { room_id: roomId } = await alice.client.createRoom({
    preset: Preset.PrivateChat,
    invite: [bob.userId],
    initial_state: [ENCRYPTION],
  });
  await bob.sees('the invite', () => bob.client.getRoom(roomId)?.getMyMembership() === 'invite');
  await bob.client.joinRoom(roomId, { viaServers: via });
  await bob.sees('the room', () => bob.client.getRoom(roomId)?.hasEncryptionStateEvent() && bob.client.getRoom(roomId));
  await alice.sees('bob', () => alice.client.getRoom(roomId)?.getMember(bob.userId)?.membership === 'join');

  for (const [speaker, listener, words] of [
    [alice, bob, 'one'],
    [bob, alice, 'two'],
    [alice, bob, 'three'],
  ] as const) {
    const eventId = await speaker.say(roomId, words);
    const event = await readOf(listener, roomId, eventId);
    assert.equal(event.getContent()['body'], words);
    assert.equal(event.getWireType(), 'm.room.encrypted');
  }
  return roomId;
}

for (const kind of e2eKinds()) {
  test(`two people on one server read what they encrypt for each other (${kind})`, TIMEOUT, async (t) => {
    const server = await e2eServer(kind);
    t.after(() => server.close());
    const people = [];
    for (const name of ['alice', 'bob']) {
      const person = await Person.arrive(server.url, await server.account(name), {}, { isEncrypting: true });
      t.after(() => person.leave());
      people.push(person);
    }
    const [alice, bob] = people as [Person, Person];

    const roomId = await talk(alice, bob, []);
    assert.ok(roomId);
  });
}

describe('on two servers', TIMEOUT, () => {
  test('people read what they encrypt for each other, also on a device that came later', TIMEOUT, async (t) => {
    const { a, b } = (await testNetwork(t, { names: ['a', 'b'] })).servers;
    const arrive = async (server: typeof a, name: string) => {
      const person = await Person.arrive(server.url, await server.user(name), {}, { isEncrypting: true });
      t.after(() => person.leave());
      return person;
    };
    const [alice, bob] = [await arrive(a, 'alice'), await arrive(b, 'bob')];

    const roomId = await talk(alice, bob, ['a.test']);
    const login = await b.post('/v3/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: bob.userId },
      password: PASSWORD,
    });
    const { user_id: userId, device_id: deviceId, access_token: accessToken } = login.body;
    const phone = await Person.arrive(b.url, { userId, deviceId, accessToken }, {}, { isEncrypting: true });
    t.after(() => phone.leave());
    await phone.room(roomId);
    await alice.seesDevice(bob.userId, deviceId);
    const eventId = await alice.say(roomId, 'for all');

    for (const person of [bob, phone]) {
      assert.equal((await readOf(person, roomId, eventId)).getContent()['body'], 'for all');
    }
  });
});
