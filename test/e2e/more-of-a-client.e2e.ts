/** What clients do beside talking, through the library that most web clients are built on: from spaces to presence. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient, Direction, EventType, MatrixError, Preset, RelationType } from 'matrix-js-sdk';
import type { Account } from '../support/shared-secret.ts';
import { Person, silent } from './person.ts';
import { type E2eServer, e2eKinds, e2eServer } from './server.ts';

const SUITE = { timeout: 90_000 };
const PASSWORD = 'a password';

/** Asks once without proof, and then with the password. */
async function withPassword<T>(userId: string, ask: (auth?: object) => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof MatrixError) || error.httpStatus !== 401) throw error;
    const identifier = { type: 'm.id.user', user: userId };
    return ask({ type: 'm.login.password', identifier, password: PASSWORD, session: error.data['session'] });
  }
}

for (const kind of e2eKinds()) {
  describe(`more of a client on ${kind}`, SUITE, () => {
    let server: E2eServer;
    let accounts: { alice: Account; bob: Account };
    let alice: Person;
    let bob: Person;

    before(async () => {
      server = await e2eServer(kind, { allow_guest_access: true });
      accounts = { alice: await server.account('alice'), bob: await server.account('bob') };
      alice = await Person.arrive(server.url, accounts.alice, { threadSupport: true });
      bob = await Person.arrive(server.url, accounts.bob, { threadSupport: true });
    });

    after(async () => {
      alice?.leave();
      bob?.leave();
      await server?.close();
    });

    /** A public room in which both are. */
    async function commonRoom(version?: string): Promise<string> {
      const { room_id: roomId } = await alice.client.createRoom({
        preset: Preset.PublicChat,
        ...(version === undefined ? {} : { room_version: version }),
      });
      await bob.client.joinRoom(roomId);
      await alice.sees('bob in the room', () => alice.client.getRoom(roomId)?.getMember(bob.userId));
      await bob.room(roomId);
      return roomId;
    }

    test('a space shows its rooms, and a room its summary', async () => {
      const room = await alice.client.createRoom({ name: 'Kitchen', preset: Preset.PublicChat });
      const space = await alice.client.createRoom({
        name: 'House',
        preset: Preset.PublicChat,
        creation_content: { type: 'm.space' },
      });
      await alice.client.sendStateEvent(space.room_id, EventType.SpaceChild, { via: ['localhost'] }, room.room_id);

      const { rooms } = await bob.client.getRoomHierarchy(space.room_id);
      const summary = await bob.client.getRoomSummary(room.room_id);

      assert.deepEqual(
        rooms.map(({ name }) => name),
        ['House', 'Kitchen'],
      );
      assert.equal(rooms[0]!.room_type, 'm.space');
      assert.equal(rooms[0]!.children_state[0]!.state_key, room.room_id);
      assert.deepEqual([summary.name, summary.membership], ['Kitchen', 'leave']);
    });

    test('a thread is seen as one by the other, counted, listed and paged', async () => {
      const roomId = await commonRoom();
      const rootId = await alice.say(roomId, 'Which tea?');
      await bob.seesEvent(roomId, rootId);
      const content = { msgtype: 'm.text', body: 'Green.' };
      const relation = { 'm.relates_to': { rel_type: 'm.thread', event_id: rootId } };
      for (const body of ['Green.', 'Black.']) {
        await bob.client.sendEvent(roomId, EventType.RoomMessage, { ...content, ...relation, body } as never);
      }

      const thread = await alice.sees('the thread', () => {
        const found = alice.client.getRoom(roomId)?.getThread(rootId);
        return found?.length === 2 && found;
      });
      const listed = await alice.client.createThreadListMessagesRequest(roomId, null, 10, Direction.Backward);
      const { chunk } = await alice.client.fetchRelations(roomId, rootId, RelationType.Thread, null);

      assert.equal(thread.replyToEvent?.getContent()['body'], 'Black.');
      assert.deepEqual(
        listed.chunk.map(({ event_id: id }) => id),
        [rootId],
      );
      assert.deepEqual(
        chunk.map((event) => event.content['body']),
        ['Black.', 'Green.'],
      );
    });

    test('what was said is found again, whatever the script', async () => {
      const roomId = await commonRoom();
      await alice.say(roomId, 'The chrysanthemum is in bloom.');
      await alice.say(roomId, '今日はとても良い天気です');

      const search = async (term: string): Promise<unknown[]> => {
        const { results } = await bob.client.searchRoomEvents({ term, filter: { rooms: [roomId] } });
        return results.map(({ context }) => context.getEvent().getContent()['body']);
      };

      assert.deepEqual(await search('chrysanthemum'), ['The chrysanthemum is in bloom.']);
      assert.deepEqual(await search('天気'), ['今日はとても良い天気です']);
      assert.deepEqual(await search('nothing of the kind'), []);
    });

    test('who knocks is let in by an invite', async () => {
      const { room_id: roomId } = await alice.client.createRoom({
        initial_state: [{ type: EventType.RoomJoinRules, state_key: '', content: { join_rule: 'knock' } }],
      });
      await bob.client.knockRoom(roomId, { reason: 'It rains.' });

      await bob.sees('the knock', () => bob.client.getRoom(roomId)?.getMyMembership() === 'knock');
      await alice.sees('who knocks', () => alice.client.getRoom(roomId)?.getMember(bob.userId)?.membership === 'knock');
      await alice.client.invite(roomId, bob.userId);
      await bob.sees('the invite', () => bob.client.getRoom(roomId)?.getMyMembership() === 'invite');
      await bob.client.joinRoom(roomId);
      await bob.seesEvent(roomId, await alice.say(roomId, 'Come in.'));
    });

    test('an upgraded room leads to its successor', async () => {
      const roomId = await commonRoom('10');
      const { replacement_room: nextId } = await alice.client.upgradeRoom(roomId, '12');

      const tombstone = await bob.sees('the tombstone', () =>
        bob.client.getRoom(roomId)?.currentState.getStateEvents(EventType.RoomTombstone, ''),
      );
      assert.equal(tombstone.getContent()['replacement_room'], nextId);
      await bob.client.joinRoom(nextId);
      const next = await bob.room(nextId);
      assert.equal(next.getVersion(), '12');
      assert.equal(next.findPredecessor()?.roomId, roomId);
    });

    test('a guest reads a room that is open, and joins where guests may', async () => {
      const { room_id: roomId } = await alice.client.createRoom({ preset: Preset.PublicChat });
      await alice.client.setGuestAccess(roomId, { allowJoin: true, allowRead: true });
      const eventId = await alice.say(roomId, 'Welcome.');
      const { user_id: userId, access_token: accessToken } = await createClient({
        baseUrl: server.url,
        logger: silent,
      }).registerGuest();
      const guest = createClient({ baseUrl: server.url, userId, accessToken: accessToken!, logger: silent });
      guest.setGuest(true);

      const before = await guest.fetchRoomEvent(roomId, eventId);
      await guest.joinRoom(roomId);
      await alice.seesEvent(roomId, (await guest.sendTextMessage(roomId, 'Hello.')).event_id);

      assert.equal(before.content?.['body'], 'Welcome.');
      await assert.rejects(guest.createRoom({}), { httpStatus: 403, errcode: 'M_GUEST_ACCESS_FORBIDDEN' });
    });

    test('a session is renewed by its refresh token', async () => {
      const anybody = createClient({ baseUrl: server.url, logger: silent });
      const session = await anybody.loginRequest({
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: bob.userId },
        password: PASSWORD,
        refresh_token: true,
      } as never);

      const renewed = await anybody.refreshToken(session.refresh_token!);
      const client = createClient({ baseUrl: server.url, accessToken: renewed.access_token, logger: silent });

      assert.equal((await client.whoami()).user_id, bob.userId);
      assert.notEqual(renewed.access_token, session.access_token);
      await client.logout();
    });

    test('devices are listed, named, and deleted with the password', async () => {
      const anybody = createClient({ baseUrl: server.url, logger: silent });
      const { device_id: deviceId } = await anybody.loginRequest({
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: alice.userId },
        password: PASSWORD,
        initial_device_display_name: 'Phone',
      });

      await alice.client.setDeviceDetails(deviceId, { display_name: 'Old phone' });
      const named = (await alice.client.getDevices()).devices.find((device) => device.device_id === deviceId);
      await withPassword(alice.userId, (auth) => alice.client.deleteDevice(deviceId, auth as never));
      const { devices } = await alice.client.getDevices();

      assert.equal(named?.display_name, 'Old phone');
      assert.deepEqual(
        devices.map((device) => device.device_id),
        [accounts.alice.deviceId],
      );
    });

    test('presence and its message are seen by those in a common room', async () => {
      await commonRoom();
      await alice.client.setPresence({ presence: 'unavailable', status_msg: 'At lunch' });

      const user = await bob.sees('that alice is away', () => {
        const found = bob.client.getUser(alice.userId);
        return found?.presence === 'unavailable' && found;
      });

      assert.equal(user.presenceStatusMsg, 'At lunch');
      assert.equal((await bob.client.getPresence(alice.userId)).presence, 'unavailable');
    });
  });
}
