import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { engineDatabase } from '../../../test/support/engine-database.ts';
import { BOB, CAROL, join, makeRoom, start } from '../../../test/support/sender-scene.ts';
import type { RoomId, ServerName, UserId } from '../../core/ids.ts';
import { silentLog } from '../../kit/log.ts';
import { Receipts } from '../../services/receipts.ts';
import { Typing } from '../../stream/typing.ts';
import { ALICE, SERVER_NAME, sayDraft } from '../../testing/engine.ts';
import { PresenceOut } from './presence-out.ts';
import { ReceiptsOut } from './receipts-out.ts';
import { TypingOut } from './typing-out.ts';

forEachDatabase((database) => {
  async function scene(t: Parameters<typeof engineDatabase>[0], transactionsPerRoomPerSecond = 50) {
    const parts = await start(await engineDatabase(t, database));
    const { stream, clock } = parts;
    const typing = new Typing({ stream, clock });
    const deps = { ...parts, typing, outbox: parts.sender, log: silentLog, serverName: SERVER_NAME };
    const outs = [new TypingOut(deps), new ReceiptsOut({ ...deps, transactionsPerRoomPerSecond })];
    const receipts = new Receipts(parts);
    const roomId = await makeRoom(parts);
    const live = await parts.rooms.get(roomId);
    const settled = async () => {
      await Promise.all(outs.map((out) => out.settled()));
      await parts.sender.settled();
    };
    return {
      ...parts,
      typing,
      receipts,
      roomId,
      live,
      settled,
      async end() {
        await Promise.all(outs.map((out) => out.stop()));
        await parts.stop();
      },
    };
  }

  const read = (receipts: Receipts, roomId: RoomId, eventId: string, type: 'm.read' | 'm.read.private' = 'm.read') =>
    receipts.mark({ roomId, userId: ALICE, type, eventId: eventId as never, threadId: null });

  test('who types is told to the servers in the room, again while it lasts, and when it is over', async (t) => {
    const { typing, live, wire, roomId, clock, settled, end, ...engine } = await scene(t);
    const type = (userId: UserId, timeoutMs: number) => typing.set(live.roomNo, userId, timeoutMs, live.joinedLocal);
    type(ALICE, 30_000);
    await settled();
    assert.deepEqual(wire.tries, []);
    type(ALICE, 0);
    await join({ ...engine, clock }, roomId, BOB);

    type(ALICE, 60_000);
    await settled();
    // Their own servers tell of others.
    type(BOB, 30_000);
    await settled();
    clock.advance(41_000);
    await settled();
    type(ALICE, 0);
    await settled();
    clock.advance(60_000);
    await settled();

    const edus = wire.edusOf('one.test');
    assert.ok(edus.every(({ edu_type, content }) => edu_type === 'm.typing' && content['user_id'] === ALICE));
    assert.deepEqual(
      edus.map(({ content }) => content['typing']),
      [true, true, false],
    );
    assert.equal(edus[0]!.content['room_id'], roomId);
    await end();
  });

  test('public receipts are told, gathered by room at the rate that is allowed, private ones never', async (t) => {
    const { receipts, wire, roomId, clock, settled, end, ...engine } = await scene(t, 1);
    await join({ ...engine, clock }, roomId, BOB);
    await join({ ...engine, clock }, roomId, CAROL);
    const said = [];
    for (const word of ['one', 'two', 'three'])
      said.push(...(await engine.rooms.send(roomId, [sayDraft(ALICE, word)])));
    const [one, two, three] = said.map(({ eventId }) => eventId);
    await settled();

    await read(receipts, roomId, one!, 'm.read.private');
    await read(receipts, roomId, one!);
    await settled();
    await read(receipts, roomId, two!);
    await read(receipts, roomId, three!);
    await settled();
    assert.equal(wire.edusOf('one.test').length, 1);
    clock.advance(2000);
    await settled();

    assert.deepEqual(
      wire.edusOf('one.test').map(({ edu_type, content }) => [edu_type, content]),
      [one, three].map((eventId) => [
        'm.receipt',
        {
          [roomId]: {
            'm.read': {
              [ALICE]: { event_ids: [eventId], data: { ts: clock.now() - (eventId === one ? 2000 : 2000) } },
            },
          },
        },
      ]),
    );
    await end();
  });

  test('the newest presence of each user goes to the servers that may know it', async (t) => {
    const { stream, wire, clock, sender, settled, end } = await scene(t);
    let asked = 0;
    const out = new PresenceOut({
      stream,
      clock,
      log: silentLog,
      outbox: sender,
      serverName: SERVER_NAME,
      presence: {
        listServers: async (changes) => changes.map(() => new Set(['one.test' as ServerName])),
        eduOf: async (userId) => ({ user_id: userId, presence: 'online', currently_active: true, n: ++asked }) as never,
      },
    });
    const change = (about: UserId) =>
      stream.publish({ kind: 'presence', position: stream.issue(), roomNo: null, about, users: [] });

    change(ALICE);
    change(ALICE);
    change('@dave:example.org' as UserId);
    change(BOB);
    clock.advance(500);
    await out.settled();
    await settled();

    const [edu, ...others] = wire.edusOf('one.test');
    assert.deepEqual(others, []);
    assert.deepEqual(
      (edu!.content['push'] as { user_id: string }[]).map(({ user_id }) => user_id),
      [ALICE, '@dave:example.org'],
    );
    assert.equal(asked, 2);
    await out.stop();
    await end();
  });
});
