/** What other servers tell besides events: taken where it is theirs to tell, dropped where it is not. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { playedRoom } from '../../test/support/played-room.ts';
import { handClock } from '../kit/clock.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const edu = (edu_type: string, content: object) => ({ edu_type, content }) as never;

type Ephemeral = { readonly type: string; readonly content: Record<string, Record<string, unknown>> };

forEachDatabase((database) => {
  async function scene(t: TestContext) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const { room, played } = await playedRoom(remote, alice);
    const tell = (...edus: never[]) => played.send([], { edus });
    return { server, clock, remote, alice, room, played, tell };
  }

  const ephemeral = async (user: TestUser, room: TestRoom, type: string): Promise<Ephemeral['content'] | undefined> => {
    const events: Ephemeral[] = (await user.sync()).rooms.join[room.id].ephemeral.events;
    return events.find((event) => event.type === type)?.content;
  };
  const typists = async (user: TestUser, room: TestRoom) =>
    ((await ephemeral(user, room, 'm.typing'))?.['user_ids'] ?? []) as unknown as string[];

  test('who types on another server is shown, until that says otherwise or says nothing more', async (t) => {
    const { alice, room, played, tell, clock } = await scene(t);
    const content = { room_id: room.id, user_id: played.bob };

    await tell(edu('m.typing', { ...content, typing: true }));
    assert.deepEqual(await typists(alice, room), [played.bob]);
    await tell(edu('m.typing', { ...content, typing: false }));
    assert.deepEqual(await typists(alice, room), []);
    await tell(edu('m.typing', { ...content, typing: true }));
    assert.deepEqual(await typists(alice, room), [played.bob]);
    clock.advance(31_000);
    assert.deepEqual(await typists(alice, room), []);
  });

  test('typing in the name of users of other servers, or from outside the room, is dropped (C14)', async (t) => {
    const { alice, room, remote, tell } = await scene(t);
    const by = (user_id: unknown, room_id: unknown = room.id) => edu('m.typing', { room_id, user_id, typing: true });

    await tell(by(alice.userId), by('@eve:other.test'), by(remote.userId('nobody')), by(null), by(7), by('@x', '!no'));

    assert.deepEqual(await typists(alice, room), []);
  });

  test('typing and receipts of a server that the access control list keeps out are dropped (v1.13/3, B9)', async (t) => {
    const { alice, room, played, tell } = await scene(t);
    const eventId = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hello' });
    const typing = edu('m.typing', { room_id: room.id, user_id: played.bob, typing: true });
    const receipt = edu('m.receipt', {
      [room.id]: { 'm.read': { [played.bob]: { event_ids: [eventId], data: { ts: 1 } } } },
    });

    await alice.setState(room, 'm.room.server_acl', { allow: ['*'], deny: ['remote.TEST'] });
    await tell(typing, receipt);
    assert.deepEqual(await typists(alice, room), []);
    assert.equal(await ephemeral(alice, room, 'm.receipt'), undefined);

    await alice.setState(room, 'm.room.server_acl', { allow: ['*'] });
    await tell(typing, receipt);
    assert.deepEqual(await typists(alice, room), [played.bob]);
    assert.ok(await ephemeral(alice, room, 'm.receipt'));
  });

  test('receipts are shown, also those of threads, and never go back', async (t) => {
    const { alice, room, played, tell } = await scene(t);
    const [one, two] = [await alice.say(room, 'one'), await alice.say(room, 'two')];
    const read = (eventId: string, data: object = { ts: 5 }, user = played.bob) =>
      edu('m.receipt', { [room.id]: { 'm.read': { [user]: { event_ids: [eventId], data } } } });

    await tell(read(two), read(one, { ts: 6, thread_id: 'main' }));
    await tell(read(one));

    const shown = await ephemeral(alice, room, 'm.receipt');
    assert.deepEqual(shown?.[two], { 'm.read': { [played.bob]: { ts: 5 } } });
    assert.deepEqual(shown?.[one], { 'm.read': { [played.bob]: { ts: 6, thread_id: 'main' } } });
  });

  test('receipts of threads that are not in the room are dropped: they could be made up without end (C14)', async (t) => {
    const { alice, room, played, tell } = await scene(t);
    const [root, said] = [await alice.say(room, 'root'), await alice.say(room, 'hello')];
    const read = (thread_id: string) =>
      edu('m.receipt', {
        [room.id]: { 'm.read': { [played.bob]: { event_ids: [said], data: { ts: 1, thread_id } } } },
      });

    await tell(...Array.from({ length: 50 }, (_, n) => read(`$${String(n).padStart(43, 'x')}`)));
    assert.equal(await ephemeral(alice, room, 'm.receipt'), undefined);
    await tell(read(root));

    const shown = await ephemeral(alice, room, 'm.receipt');
    assert.deepEqual(shown?.[said], { 'm.read': { [played.bob]: { ts: 1, thread_id: root } } });
  });

  test('receipts in the name of others, of events not in the room, and private ones are dropped (C14)', async (t) => {
    const { alice, room, played, tell, remote } = await scene(t);
    const said = await alice.say(room, 'hello');
    const other = await alice.createRoom();
    const elsewhere = await alice.say(other, 'elsewhere');
    const read = (user: string, eventId: unknown, type = 'm.read') =>
      edu('m.receipt', { [room.id]: { [type]: { [user]: { event_ids: [eventId], data: { ts: 1 } } } } });

    await tell(
      read(alice.userId, said),
      read('@eve:other.test', said),
      read(remote.userId('nobody'), said),
      read(played.bob, elsewhere),
      read(played.bob, '$nowhere'),
      read(played.bob, null),
      read(played.bob, said, 'm.read.private'),
      edu('m.receipt', { [room.id]: null, '!other:remote.test': { 'm.read': { [played.bob]: 7 } } }),
      edu('m.receipt', { [room.id]: { 'm.read': { [played.bob]: { event_ids: [said], data: { thread_id: 7 } } } } }),
    );

    assert.equal(await ephemeral(alice, room, 'm.receipt'), undefined);
  });

  test('presence is shown of users of the server that tells it, and of no others (C14)', async (t) => {
    const { alice, played, tell } = await scene(t);
    const eve = '@eve:other.test';
    const there = (user_id: unknown, more: object = {}) => ({ user_id, presence: 'online', ...more });

    await tell(
      edu('m.presence', {
        push: [
          there(played.bob, { status_msg: 'here', currently_active: true, last_active_ago: 1000 }),
          there(alice.userId, { status_msg: 'forged' }),
          there(eve),
          there(7),
          { user_id: played.bob, presence: 'gone' },
          null,
        ],
      }),
      edu('m.presence', { push: 'none' }),
    );

    const seen = succeeded(await alice.get(`/v3/presence/${encodeURIComponent(played.bob)}/status`));
    assert.deepEqual([seen.presence, seen.status_msg, seen.currently_active], ['online', 'here', true]);
    const own = succeeded(await alice.get(`/v3/presence/${encodeURIComponent(alice.userId)}/status`));
    assert.notEqual(own.status_msg, 'forged');
  });

  test('EDUs that make no sense, and those that nobody knows, stop no other (A10, C6)', async (t) => {
    const { alice, room, played, tell } = await scene(t);
    const typing = edu('m.typing', { room_id: room.id, user_id: played.bob, typing: true });

    await tell(
      null as never,
      7 as never,
      [] as never,
      edu('m.typing', [] as never),
      edu('__proto__', {}),
      edu('m.direct_to_device', { sender: played.bob, type: 'm.test', message_id: 'x', messages: {} }),
      edu('m.device_list_update', { user_id: played.bob }),
      typing,
    );

    assert.deepEqual(await typists(alice, room), [played.bob]);
  });
});
