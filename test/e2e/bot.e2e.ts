/** A bot at work: matrix-bot-sdk, on which many bots and bridges are built, as its own examples use it. */
import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { Person } from './person.ts';
import { type E2eServer, e2eKinds, e2eServer } from './server.ts';

// The library loads its encryption with itself, a binary that is fetched at install. This bot does not encrypt.
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '@matrix-org/matrix-sdk-crypto-nodejs'
      ? { url: 'data:text/javascript,module.exports={}', format: 'commonjs', shortCircuit: true }
      : next(specifier, context),
  load: (url, context, next) =>
    url === 'data:text/javascript,module.exports={}'
      ? { format: 'commonjs', source: 'module.exports = {};', shortCircuit: true }
      : next(url, context),
});
const { AutojoinRoomsMixin, LogLevel, LogService, MatrixClient, MemoryStorageProvider } = await import(
  'matrix-bot-sdk'
);
LogService.setLevel(LogLevel.ERROR);

for (const kind of e2eKinds()) {
  describe(`a bot on ${kind}`, { timeout: 60_000 }, () => {
    let server: E2eServer;
    let alice: Person;
    let bot: InstanceType<typeof MatrixClient>;
    let botId: string;

    before(async () => {
      // The library names who makes a space in its power levels, which room version 12 does not take.
      server = await e2eServer(kind, { default_room_version: '11' });
      alice = await Person.arrive(server.url, await server.account('alice'), { threadSupport: true });
      const account = await server.account('bot');
      botId = account.userId;
      bot = new MatrixClient(server.url, account.accessToken, new MemoryStorageProvider());
      AutojoinRoomsMixin.setupOnClient(bot);
      bot.on(
        'room.message',
        async (roomId: string, event: { sender: string; event_id: string; content: { body?: string } }) => {
          if (event.sender === botId || event.content.body !== '!ping') return;
          await bot.replyText(roomId, event, 'pong');
        },
      );
      await bot.start();
    });

    after(async () => {
      bot?.stop();
      alice?.leave();
      await server?.close();
    });

    test('it knows who it is, joins where it is invited, and answers', async () => {
      assert.equal(await bot.getUserId(), botId);
      const { room_id: roomId } = await alice.client.createRoom({ invite: [botId] });
      await alice.sees('the bot', () => alice.client.getRoom(roomId)?.getMember(botId)?.membership === 'join');

      const asked = await alice.say(roomId, '!ping');

      const answer = await alice.sees('the answer', () =>
        alice.client
          .getRoom(roomId)
          ?.getLiveTimeline()
          .getEvents()
          .find((event) => event.getSender() === botId && event.getType() === 'm.room.message'),
      );
      assert.equal(answer.replyEventId, asked);
      assert.ok((await bot.getJoinedRoomMembers(roomId)).includes(alice.userId));
      assert.ok((await bot.getJoinedRooms()).includes(roomId));
    });

    test('it makes a space with a room in it, and moderates there', async () => {
      const space = await bot.createSpace({ name: 'Bots', topic: 'Of all kinds', isPublic: true });
      const roomId = await bot.createRoom({ preset: 'public_chat', name: 'Workshop' });
      await space.addChildRoom(roomId);
      await alice.client.joinRoom(roomId);
      const said = await alice.say(roomId, 'rude');
      await alice.seesEvent(roomId, said);

      await bot.redactEvent(roomId, said, 'rude');
      await bot.sendStateEvent(roomId, 'm.room.topic', '', { topic: 'Be nice' });
      await bot.kickUser(alice.userId, roomId, 'rude');

      assert.deepEqual(Object.keys(await space.getChildEntities()), [roomId]);
      await alice.sees('being kicked', () => alice.client.getRoom(roomId)?.getMyMembership() === 'leave');
      assert.equal(alice.client.getRoom(roomId)?.findEventById(said)?.isRedacted(), true);
      assert.deepEqual(await bot.getRoomStateEvent(roomId, 'm.room.topic', ''), { topic: 'Be nice' });
    });

    test('it keeps account data, says who it is, and is seen as present', async () => {
      await bot.setAccountData('org.example.bot', { count: 1 });
      await bot.setDisplayName('Robot');
      await bot.setPresenceStatus('online', 'At your service');

      assert.deepEqual(await bot.getAccountData('org.example.bot'), { count: 1 });
      assert.equal((await bot.getUserProfile(botId)).displayname, 'Robot');
      assert.equal((await bot.getPresenceStatusFor(botId)).statusMessage, 'At your service');
    });

    test('it reads a thread and the history around an event, and follows an upgraded room', async () => {
      const roomId = await bot.createRoom({ preset: 'public_chat', room_version: '11' } as never);
      const root = await bot.sendText(roomId, 'root');
      await bot.sendMessage(roomId, {
        msgtype: 'm.text',
        body: 'in the thread',
        'm.relates_to': { rel_type: 'm.thread', event_id: root },
      });

      const { chunk } = await bot.getRelationsForEvent(roomId, root, 'm.thread');
      const context = await bot.getEventContext(roomId, root, 4);
      const { replacement_room: nextId } = await bot.doRequest(
        'POST',
        `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/upgrade`,
        null,
        { new_version: '12' },
      );

      assert.equal(chunk.length, 1);
      assert.equal(context.event.eventId, root);
      const predecessor = (await bot.getRoomStateEvent(nextId, 'm.room.create', '')).predecessor;
      assert.equal(predecessor.room_id, roomId);
    });
  });
}
