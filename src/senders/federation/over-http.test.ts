/** The whole way: from a client's message to a request that another homeserver can check. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { forEachDatabase } from '../../../test/support/databases.ts';
import type { ServerName, UserId } from '../../core/ids.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { handClock } from '../../kit/clock.ts';
import { openRoomServer } from '../../storage/room-servers.ts';
import { upsertMembership } from '../../storage/room-state.ts';
import { sql } from '../../storage/sql.ts';
import { type RemoteRequest, remoteServer } from '../../testing/remote-server.ts';
import { testServer } from '../../testing/test-server.ts';

type Body = { origin: string; pdus: JsonObject[]; edus: JsonObject[] };

forEachDatabase((database) => {
  /** A room of Alice's in which a user of another server is, which takes transactions or does not. */
  async function scene(t: Parameters<typeof testServer>[0]) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server, { name: 'remote.test' });
    const alice = await server.user('alice');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await server.inspect(async (db) => {
      const row = await db.first<{ room_no: number; event_no: number }>(
        sql`select room_no, max(event_no) as event_no from events where room_no in (
              select room_no from rooms where room_id = ${room.id}) group by room_no`,
      );
      const { room_no: roomNo, event_no: eventNo } = row!;
      await db.commit([
        upsertMembership({
          roomNo,
          eventNo,
          position: eventNo,
          userId: '@bob:remote.test' as UserId,
          membership: 'join',
        }),
        openRoomServer(roomNo, 'remote.test' as ServerName, eventNo),
      ]);
    });
    const waiting: (() => void)[] = [];
    const state = { isUp: true };
    remote.route('PUT', /^\/_matrix\/federation\/v1\/send\//, () => {
      for (const done of waiting.splice(0)) done();
      return state.isUp ? { json: { pdus: {} } } : { status: 503, json: { errcode: 'M_UNKNOWN', error: 'down' } };
    });
    return {
      clock,
      server,
      alice,
      room,
      state,
      transactions: () => remote.requestsTo(/\/send\//),
      nextTransaction: () => new Promise<void>((done) => void waiting.push(done)),
    };
  }

  const bodyOf = (request: RemoteRequest | undefined) => request?.body as unknown as Body;

  test('a message, typing and a receipt reach the server of who is in the room, signed for it', async (t) => {
    const { alice, room, transactions, nextTransaction } = await scene(t);

    const message = nextTransaction();
    const eventId = await alice.say(room, 'hello');
    await message;
    const typing = nextTransaction();
    await alice.put(`/v3/rooms/${room.id}/typing/${alice.userId}`, { typing: true, timeout: 30_000 });
    await typing;
    const receipt = nextTransaction();
    await alice.post(`/v3/rooms/${room.id}/receipt/m.read/${eventId}`, {});
    await receipt;

    const [first, ...others] = transactions();
    assert.match(String(first!.headers.authorization), /^X-Matrix .*destination="remote.test"/);
    const { origin, pdus } = bodyOf(first);
    assert.equal(origin, 'myelin.test');
    assert.deepEqual(
      pdus.map(({ content }) => content),
      [{ msgtype: 'm.text', body: 'hello' }],
    );
    assert.ok((pdus[0]!['signatures'] as JsonObject)['myelin.test'] !== undefined);
    const types = others.flatMap((request) => bodyOf(request).edus.map(({ edu_type }) => edu_type));
    assert.ok(types.includes('m.typing') && types.includes('m.receipt'), types.join());
  });

  test('a server that is down gets what it missed after a restart of ours', async (t) => {
    const { clock, server, alice, room, state, transactions, nextTransaction } = await scene(t);
    state.isUp = false;
    const refused = nextTransaction();
    await alice.say(room, 'one');
    await refused;
    await server.stop();
    await server.start();
    await alice.say(room, 'two');

    state.isUp = true;
    const before = transactions().length;
    while (
      !transactions()
        .slice(before)
        .some((request) => JSON.stringify(request.body).includes('two'))
    ) {
      const next = nextTransaction();
      clock.advance(10_000);
      // Time must not run ahead of what is on its way: it would be given up.
      await Promise.race([next, sleep(500)]);
    }

    const words = transactions()
      .slice(before)
      .flatMap((request) => bodyOf(request).pdus.map(({ content }) => (content as JsonObject)['body']));
    assert.deepEqual(words.filter((word) => word !== undefined).slice(-2), ['one', 'two']);
    assert.equal(new Set(words).size, words.length);
  });
});
