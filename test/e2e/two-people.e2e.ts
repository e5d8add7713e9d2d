/** Two people talk in a room, through the client library that most web clients are built on. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  EventTimeline,
  EventType,
  MatrixError,
  MsgType,
  NotificationCountType,
  Preset,
  RelationType,
  type Room,
} from 'matrix-js-sdk';
import { Person } from './person.ts';
import { type E2eServer, e2eKinds, e2eServer } from './server.ts';

const MEMBERSHIP_TIMEOUT = { timeout: 60_000 };

/** The bodies of the messages that a client holds, oldest first. */
function bodies(room: Room): string[] {
  return room
    .getLiveTimeline()
    .getEvents()
    .filter((event) => event.getType() === EventType.RoomMessage)
    .map((event) => String(event.getContent()['body']));
}

for (const kind of e2eKinds()) {
  describe(`two people on ${kind}`, MEMBERSHIP_TIMEOUT, () => {
    let server: E2eServer;
    let alice: Person;
    let bob: Person;

    before(async () => {
      server = await e2eServer(kind);
      alice = await Person.arrive(server.url, await server.account('alice'));
      bob = await Person.arrive(server.url, await server.account('bob'));
    });

    after(async () => {
      alice?.leave();
      bob?.leave();
      await server?.close();
    });

    /** A private room in which both are. */
    async function commonRoom(): Promise<string> {
      const { room_id: roomId } = await alice.client.createRoom({ preset: Preset.PrivateChat, invite: [bob.userId] });
      await bob.sees('the invite', () => bob.client.getRoom(roomId)?.getMyMembership() === 'invite');
      await bob.client.joinRoom(roomId);
      await bob.sees('the room joined', () => bob.client.getRoom(roomId)?.getMyMembership() === 'join');
      await alice.sees(
        'bob in the room',
        () => alice.client.getRoom(roomId)?.getMember(bob.userId)?.membership === 'join',
      );
      return roomId;
    }

    test('an invited person joins, and each reads what the other writes, in the same order', async () => {
      const { room_id: roomId } = await alice.client.createRoom({
        name: 'Tea',
        topic: 'Which one',
        preset: Preset.PrivateChat,
        invite: [bob.userId],
      });
      const invited = await bob.sees('the invite', () => {
        const room = bob.client.getRoom(roomId);
        return room?.getMyMembership() === 'invite' && room;
      });
      assert.equal(invited.name, 'Tea');
      assert.equal(invited.getDMInviter() ?? alice.userId, alice.userId);

      await bob.client.joinRoom(roomId);
      await alice.sees(
        'bob in the room',
        () => alice.client.getRoom(roomId)?.getMember(bob.userId)?.membership === 'join',
      );
      await bob.seesEvent(roomId, await alice.say(roomId, 'Green?'));
      await alice.seesEvent(roomId, await bob.say(roomId, 'Black.'));
      const last = await alice.say(roomId, 'Both.');
      await bob.seesEvent(roomId, last);
      await alice.seesEvent(roomId, last);

      const talk = ['Green?', 'Black.', 'Both.'];
      for (const person of [alice, bob]) assert.deepEqual(bodies(await person.room(roomId)), talk);
      const state = (await bob.room(roomId)).getLiveTimeline().getState(EventTimeline.FORWARDS);
      assert.equal(state?.getStateEvents(EventType.RoomTopic, '')?.getContent()['topic'], 'Which one');
    });

    test('an edit replaces what the other reads', async () => {
      const roomId = await commonRoom();
      const eventId = await alice.say(roomId, 'Helo');
      const original = await bob.seesEvent(roomId, eventId);

      await alice.client.sendEvent(roomId, EventType.RoomMessage, {
        msgtype: MsgType.Text,
        body: '* Hello',
        'm.new_content': { msgtype: MsgType.Text, body: 'Hello' },
        'm.relates_to': { rel_type: RelationType.Replace, event_id: eventId },
      });

      await bob.sees('the edit', () => original.getContent()['body'] === 'Hello');
      assert.equal(original.getOriginalContent()['body'], 'Helo');
      const later = await Person.arrive(server.url, await reopened(bob));
      const again = await later.seesEvent(roomId, eventId);
      await later.sees('the edit', () => again.getContent()['body'] === 'Hello');
      later.leave();
    });

    test('a reaction is counted with the message', async () => {
      const roomId = await commonRoom();
      const eventId = await alice.say(roomId, 'Cake at four');
      await bob.seesEvent(roomId, eventId);

      await bob.client.sendEvent(roomId, EventType.Reaction, {
        'm.relates_to': { rel_type: RelationType.Annotation, event_id: eventId, key: '🍰' },
      });

      const room = await alice.room(roomId);
      const [[key, events]] = await alice.sees('the reaction', () => {
        const relations = room.relations.getChildEventsForEvent(eventId, RelationType.Annotation, EventType.Reaction);
        const sorted = relations?.getSortedAnnotationsByKey();
        return sorted?.[0] !== undefined && ([sorted[0]] as const);
      });
      assert.equal(key, '🍰');
      assert.deepEqual(
        [...events].map((event) => event.getSender()),
        [bob.userId],
      );
    });

    test('typing shows and ends', async () => {
      const roomId = await commonRoom();
      const aliceAtBobs = async () => (await bob.room(roomId)).getMember(alice.userId);

      await alice.client.sendTyping(roomId, true, 30_000);
      const member = await aliceAtBobs();
      await bob.sees('alice typing', () => member?.typing === true);

      await alice.client.sendTyping(roomId, false, 30_000);
      await bob.sees('alice typing no more', () => member?.typing === false);
    });

    test('a read receipt reaches the writer', async () => {
      const roomId = await commonRoom();
      const eventId = await alice.say(roomId, 'Read me');
      const event = await bob.seesEvent(roomId, eventId);

      await bob.client.sendReadReceipt(event);

      const room = await alice.room(roomId);
      await alice.sees('the receipt', () => room.getEventReadUpTo(bob.userId, true) === eventId);
    });

    test('unread messages and mentions are counted until they are read', async () => {
      const roomId = await commonRoom();
      await alice.say(roomId, 'One');
      await alice.say(roomId, 'Two');
      const { event_id: mentionId } = await alice.client.sendEvent(roomId, EventType.RoomMessage, {
        msgtype: MsgType.Text,
        body: 'Three, and you there',
        'm.mentions': { user_ids: [bob.userId] },
      });
      const mention = await bob.seesEvent(roomId, mentionId);
      const room = await bob.room(roomId);
      const counts = () => [
        room.getUnreadNotificationCount(NotificationCountType.Total),
        room.getUnreadNotificationCount(NotificationCountType.Highlight),
      ];
      await bob.sees('three unread, one a mention', () => counts().join() === '3,1');

      await bob.client.sendReadReceipt(mention);

      await bob.sees('nothing unread', () => counts().join() === '0,0');
    });

    test('a redacted message loses its text for both', async () => {
      const roomId = await commonRoom();
      const eventId = await alice.say(roomId, 'A secret');
      const event = await bob.seesEvent(roomId, eventId);

      await alice.client.redactEvent(roomId, eventId, undefined, { reason: 'said too much' });

      await bob.sees('the redaction', () => event.isRedacted());
      assert.deepEqual(event.getContent(), {});
      const stored = await bob.client.fetchRoomEvent(roomId, eventId);
      assert.deepEqual(stored.content, {});
    });

    test('scrolling back reaches the first event, each message once and in order', async () => {
      const { room_id: roomId } = await alice.client.createRoom({ preset: Preset.PublicChat });
      const spoken = Array.from({ length: 130 }, (_, number) => `Message ${number}`);
      for (const body of spoken) await alice.say(roomId, body);
      await bob.client.joinRoom(roomId);
      const room = await bob.room(roomId);
      await bob.sees('the last message', () => bodies(room).at(-1) === spoken.at(-1));

      for (let page = 0; page < 40 && room.oldState.paginationToken !== null; page++) {
        await bob.client.scrollback(room, 20);
      }

      assert.equal(room.getLiveTimeline().getEvents()[0]?.getType(), EventType.RoomCreate);
      assert.deepEqual(bodies(room), spoken);
    });

    test('a kicked person is out but may return; a banned one may not until the ban is lifted', async () => {
      const roomId = await commonRoom();
      const mine = (membership: string) => () => bob.client.getRoom(roomId)?.getMyMembership() === membership;

      await alice.client.kick(roomId, bob.userId, 'a moment outside');
      await bob.sees('the kick', mine('leave'));
      await assert.rejects(bob.say(roomId, 'Still here?'), forbidden);

      await alice.client.invite(roomId, bob.userId);
      await bob.client.joinRoom(roomId);
      await bob.sees('being back', mine('join'));

      await alice.client.ban(roomId, bob.userId, 'enough');
      await bob.sees('the ban', mine('ban'));
      await assert.rejects(bob.client.joinRoom(roomId), forbidden);
      await assert.rejects(alice.client.invite(roomId, bob.userId), forbidden);

      await alice.client.unban(roomId, bob.userId);
      await alice.client.invite(roomId, bob.userId);
      await bob.client.joinRoom(roomId);
      await bob.sees('being back again', mine('join'));
    });

    test('someone who leaves is seen to leave, and reads no more', async () => {
      const roomId = await commonRoom();

      await bob.client.leave(roomId);

      await alice.sees('bob gone', () => alice.client.getRoom(roomId)?.getMember(bob.userId)?.membership === 'leave');
      const eventId = await alice.say(roomId, 'Now that he is gone');
      await assert.rejects(bob.client.fetchRoomEvent(roomId, eventId), (error) => {
        assert.ok(error instanceof MatrixError);
        return error.httpStatus === 403 || error.httpStatus === 404;
      });
    });

    test('a new display name shows in the profile and in the rooms', async () => {
      const roomId = await commonRoom();

      await bob.client.setDisplayName('Bob the Baker');

      const room = await alice.room(roomId);
      await alice.sees('the new name', () => room.getMember(bob.userId)?.rawDisplayName === 'Bob the Baker');
      assert.equal((await alice.client.getProfileInfo(bob.userId)).displayname, 'Bob the Baker');
    });

    for (const lazyLoadMembers of [false, true]) {
      test(`members are all there ${lazyLoadMembers ? 'once asked for, with' : 'at once, without'} lazy loading`, async () => {
        const { room_id: roomId } = await alice.client.createRoom({ preset: Preset.PublicChat });
        const crowd = await Promise.all(Array.from({ length: 8 }, () => server.account('crowd')));
        for (const account of crowd) await join(server.url, account.accessToken, roomId);
        await bob.client.joinRoom(roomId);
        // Enough messages, that those of the joins are not in the first page.
        for (let number = 0; number < 10; number++) await alice.say(roomId, `Message ${number}`);

        const reader = await Person.arrive(server.url, await reopened(bob), { lazyLoadMembers });
        const room = await reader.room(roomId);

        assert.equal(room.getJoinedMemberCount(), 10);
        const loaded = room.getJoinedMembers().length;
        assert.ok(lazyLoadMembers ? loaded < 10 : loaded === 10, `${loaded} members are loaded`);
        assert.ok(room.getMember(alice.userId) !== null, 'who speaks is known');
        await room.loadMembersIfNeeded();
        assert.equal(room.getJoinedMembers().length, 10);
        reader.leave();
      });
    }
  });
}

function forbidden(error: unknown): boolean {
  // Some servers tell a banned person M_BAD_STATE, with the same status.
  return error instanceof MatrixError && error.httpStatus === 403;
}

/** The same person's session, for a client that starts from nothing. */
async function reopened(person: Person) {
  return {
    userId: person.userId,
    accessToken: person.client.getAccessToken() ?? '',
    deviceId: person.client.getDeviceId() ?? '',
  };
}

async function join(url: string, accessToken: string, roomId: string): Promise<void> {
  const reply = await fetch(`${url}/_matrix/client/v3/join/${encodeURIComponent(roomId)}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
    body: '{}',
  });
  assert.equal(reply.status, 200);
}
