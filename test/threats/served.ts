/** What must hold of a room after each attack: all that was stored is sound, and all who are in it are still served. */
import assert from 'node:assert/strict';
import { parseJson } from '../../src/core/json.ts';
import { readPdu } from '../../src/core/pdu-format.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { findRoom, listEventsForwards } from '../../src/storage/events.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom, type TestUser } from '../../src/testing/test-client.ts';
import type { TestServer } from '../../src/testing/test-server.ts';

const EVENTS_MAX = 10_000;
const PAGES_MAX = 200;

/**
 * Every event of the rooms reads back as another server would read it: it has a canonical form, keeps its sizes, its
 * content hash and its ID. Restarts the server.
 */
export async function assertSound(server: TestServer, rooms: readonly TestRoom[]): Promise<void> {
  await server.inspect(async (db) => {
    for (const { id } of rooms) {
      const room = await findRoom(db, id);
      assert.ok(room !== undefined, `the room ${id} is stored`);
      const rules = findRoomRules(room.version)!;
      for (const row of await listEventsForwards(db, room.roomNo, 0, Number.MAX_SAFE_INTEGER, EVENTS_MAX)) {
        const result = readPdu(rules, parseJson(row.json, { keepNumberText: true }));
        assert.ok(result.allowed, `${row.json.slice(0, 300)}: ${result.allowed ? '' : result.reason}`);
        assert.ok(result.contentHashMatches, `the content hash of ${row.json.slice(0, 300)}`);
        assert.equal(result.pdu.eventId, row.eventId);
      }
    }
  });
}

/**
 * Everybody gets the room by all doors: a first sync, pages of history, state, members and each event by itself.
 * Gives the IDs of the history, oldest first.
 */
export async function assertServed(users: readonly TestUser[], room: TestRoom): Promise<string[]> {
  let history: string[] = [];
  for (const user of users) {
    // Of this room alone: with hundreds of them, all of them for each of them would take hours.
    const filter = JSON.stringify({ room: { rooms: [room.id] } });
    const synced = await user.sync(undefined, { filter });
    assert.ok(synced.rooms.join[room.id] !== undefined, `${user.userId} has the room in a first sync`);
    assert.equal(typeof (await user.sync(synced.next_batch, { filter })).next_batch, 'string');
    assert.equal(
      typeof (await user.sync(undefined, { full_state: true, filter: federationForm(room) })).next_batch,
      'string',
    );
    history = await historyOf(user, room);
    for (const eventId of history) {
      assert.equal(succeeded(await user.get(roomPath(room, 'event', eventId))).event_id, eventId);
    }
    assert.equal(succeeded(await user.get(roomPath(room, 'context', history.at(-1)!))).event.event_id, history.at(-1));
    const state = succeeded(await user.get(roomPath(room, 'state'))) as { type: string; state_key: string }[];
    for (const { type, state_key: key } of state) succeeded(await user.get(roomPath(room, 'state', type, key)));
    succeeded(await user.get(roomPath(room, 'members')));
    succeeded(await user.get(roomPath(room, 'joined_members')));
  }
  return history;
}

const federationForm = ({ id }: TestRoom): string =>
  JSON.stringify({ event_format: 'federation', room: { rooms: [id] } });

/** The IDs of all events that a user can page to, oldest first; backwards and forwards give the same. */
async function historyOf(user: TestUser, room: TestRoom): Promise<string[]> {
  const forwards = await page(user, room, 'f');
  const backwards = (await page(user, room, 'b')).reverse();
  assert.deepEqual(backwards, forwards, 'history is the same in both directions');
  return forwards;
}

async function page(user: TestUser, room: TestRoom, dir: 'f' | 'b'): Promise<string[]> {
  const eventIds: string[] = [];
  let from: string | undefined;
  for (let count = 0; count < PAGES_MAX; count++) {
    const { chunk, end } = succeeded(await user.get(roomPath(room, 'messages'), { dir, limit: 100, from }));
    eventIds.push(...chunk.map((event: { event_id: string }) => event.event_id));
    if (end === undefined) return eventIds;
    from = end;
  }
  assert.fail(`the history of ${room.id} does not end`);
}
