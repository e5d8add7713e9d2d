/** Rooms that nobody of this server has to do with any more leave nothing behind, and can be joined anew. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { databaseBeside, until } from '../../test/support/beside.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import type { RoomId } from '../core/ids.ts';
import { type HandClock, handClock } from '../kit/clock.ts';
import type { Reader } from '../storage/database.ts';
import { findRoom, insertRoom } from '../storage/events.ts';
import { sql } from '../storage/sql.ts';
import { PlayedRoom } from '../testing/played-room.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { type TestDatabaseKind, testServer } from '../testing/test-server.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Each table that has a column of that name, with how many rows there name a room. */
async function traces(db: Reader, roomNo: number): Promise<string[]> {
  const tables = [
    ...[
      'rooms',
      'events',
      'forward_extremities',
      'backward_extremities',
      'state_keys',
      'state_snapshots',
      'memberships',
    ],
    ...['membership_changes', 'redactions', 'room_aliases', 'receipts', 'account_data', 'unread_counts', 'auth_index'],
    ...[
      'stripped_states',
      'relations',
      'threads',
      'open_rooms',
      'outgoing',
      'room_servers',
      'forgotten_rooms',
      'partial_joins',
      'partial_rooms',
    ],
  ];
  const known = await tablesWithRooms(db);
  assert.deepEqual(
    known.filter((name) => !tables.includes(name)),
    [],
    'a table that rooms leave rows in',
  );
  const left = [];
  for (const name of known) {
    const parts = [`select count(*) as count from ${name} where room_no = `, ''];
    const row = await db.first<{ count: number }>(sql(Object.assign(parts, { raw: parts }), roomNo));
    if (Number(row!.count) > 0) left.push(`${name} ${row!.count}`);
  }
  return left;
}

async function tablesWithRooms(db: Reader): Promise<string[]> {
  const rows =
    db.dialect === 'sqlite'
      ? await db.all<{ name: string }>(sql`select m.name from sqlite_master m, pragma_table_info(m.name) p
          where m.type = 'table' and p.name = 'room_no' order by m.name`)
      : await db.all<{ name: string }>(sql`select table_name as name from information_schema.columns
          where column_name = 'room_no' and table_schema = current_schema() order by table_name`);
  // The entries of search go by event on SQLite.
  return rows.map(({ name }) => name).filter((name) => name !== 'search_entries');
}

forEachDatabase((kind) => {
  async function scene(t: TestContext, forgottenRoomRetentionMs: number | null = 3 * DAY_MS) {
    const clock: HandClock = handClock();
    const { database, open } = await databaseBeside(t, kind as TestDatabaseKind);
    const server = await testServer(t, { database, clock, config: { rooms: { forgottenRoomRetentionMs } } });
    const db = await open();
    const [alice, bob] = [await server.user('alice'), await server.user('bob')];
    const roomNoOf = async (roomId: string) => (await findRoom(db, roomId as RoomId))?.roomNo ?? null;
    return { clock, server, db, alice, bob, roomNoOf };
  }
  const leave = async (user: TestUser, roomId: string, forgets = true) => {
    succeeded(await user.post(roomPath({ id: roomId }, 'leave'), {}));
    if (forgets) succeeded(await user.post(roomPath({ id: roomId }, 'forget'), {}));
  };
  /** Turns the clock by hours, so that the job runs each time. */
  const wait = async (clock: HandClock, hours: number) => {
    for (let hour = 0; hour < hours; hour++) {
      clock.advance(HOUR_MS);
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  };

  test('a room that all have forgotten goes after its time, with all that hangs on it', async (t) => {
    const { clock, db, alice, bob, roomNoOf } = await scene(t);
    const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'tea', name: 'Tea' });
    const kept = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const said = await alice.say(room, 'a zebra');
    const inThread = { 'm.relates_to': { rel_type: 'm.thread', event_id: said } };
    const answer = await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'in a thread', ...inThread });
    succeeded(await bob.post(`${roomPath(room, 'receipt')}/m.read/${encodeURIComponent(answer)}`, {}));
    succeeded(
      await alice.put(`/v3/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room.id)}/tags/a`, {}),
    );
    succeeded(await alice.put(`${roomPath(room, 'redact')}/${encodeURIComponent(answer)}/1`, {}));
    const roomNo = (await roomNoOf(room.id))!;
    await leave(alice, room.id);
    await leave(bob, room.id, false);
    await wait(clock, 80);
    assert.equal(await roomNoOf(room.id), roomNo, 'bob has not forgotten it');
    succeeded(await bob.post(roomPath(room, 'forget'), {}));
    await wait(clock, 70);
    assert.equal(await roomNoOf(room.id), roomNo, 'its time is not over');

    await until(async () => {
      await wait(clock, 1);
      return (await roomNoOf(room.id)) === null;
    });

    assert.deepEqual(await traces(db, roomNo), []);
    assert.equal((await alice.get(`/v3/directory/room/${encodeURIComponent('#tea:myelin.test')}`)).status, 404);
    assert.equal((await alice.get(roomPath(room, 'messages'), { dir: 'b' })).status, 403);
    assert.equal((await alice.post(`/v3/join/${encodeURIComponent(room.id)}`, {})).status, 404);
    assert.equal((await alice.get(`/v3/directory/room/${encodeURIComponent('#tea:myelin.test')}`)).status, 404);
    assert.deepEqual(Object.keys((await alice.sync()).rooms.join), [kept.id]);
    const found = succeeded(
      await alice.post('/v3/search', { search_categories: { room_events: { search_term: 'zebra' } } }),
    );
    assert.equal(found.search_categories.room_events.count, 0);
  });

  test('who comes back, or is invited, starts the time anew; without a time rooms stay', async (t) => {
    const { clock, alice, bob, roomNoOf } = await scene(t);
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const roomNo = await roomNoOf(room.id);
    await leave(bob, room.id);
    await wait(clock, 80);
    assert.equal(await roomNoOf(room.id), roomNo, 'alice is in it');
    await alice.invite(room, bob);
    await leave(alice, room.id);
    await wait(clock, 80);
    assert.equal(await roomNoOf(room.id), roomNo, 'bob is invited');

    const forEver = await scene(t, null);
    const other = await forEver.alice.createRoom();
    await leave(forEver.alice, other.id);
    await wait(forEver.clock, 100);
    assert.notEqual(await forEver.roomNoOf(other.id), null);
  });

  test('a room of another server that went can be joined anew, and is read from its beginning', async (t) => {
    const { clock, server, alice, bob, roomNoOf } = await scene(t);
    const remote = await remoteServer(t, server);
    const room = new PlayedRoom(remote);
    room.add('m.room.name', '', { name: 'Far' });
    const join = (user: TestUser) =>
      user.post(`/v3/join/${encodeURIComponent(room.roomId)}?via=${remote.serverName}`, {});
    // Each comes in by the other server, which hears of no leave: it holds that both are in the room.
    succeeded(await join(bob));
    await leave(bob, room.roomId);
    succeeded(await join(alice));
    const before = await roomNoOf(room.roomId);
    await leave(alice, room.roomId);
    await leave(bob, room.roomId);
    await until(async () => {
      await wait(clock, 24);
      return (await roomNoOf(room.roomId)) === null;
    });

    // The state that it tells has both in the room, by events that we deleted.
    succeeded(await join(alice));

    const after = await roomNoOf(room.roomId);
    assert.ok(after !== null && after !== before);
    const name = succeeded(await alice.get(roomPath({ id: room.roomId }, 'state', 'm.room.name')));
    assert.equal(name.name, 'Far');
    assert.ok((await alice.sync()).rooms.join[room.roomId]);
    await alice.say({ id: room.roomId } as never, 'here again');
    assert.ok((await bob.sync()).rooms.join[room.roomId]);
    assert.equal((await bob.get(roomPath({ id: room.roomId }, 'messages'), { dir: 'b' })).status, 200);
  });

  test('what a failed join left behind goes after a day', async (t) => {
    const { clock, server, roomNoOf } = await scene(t, null);
    const room = { roomNo: 4_000_000_000, roomId: '!nothing:remote.test' as RoomId, version: '11' };
    await server.inspect((db) => db.commit([insertRoom({ ...room, createdMs: clock.now() })]));

    await wait(clock, 12);
    assert.notEqual(await roomNoOf(room.roomId), null);
    await until(async () => {
      await wait(clock, 6);
      return (await roomNoOf(room.roomId)) === null;
    });
  });
});
