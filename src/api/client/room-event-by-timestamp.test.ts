import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { handClock } from '../../kit/clock.ts';
import { succeeded, type TestRoom, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const DAY_MS = 86_400_000;
const START_MS = 1_700_000_000_000;

const near = (user: TestUser, room: TestRoom, ts: number, dir: 'f' | 'b') =>
  user.get(`/v1/rooms/${encodeURIComponent(room.id)}/timestamp_to_event`, { ts, dir });

forEachDatabase((database) => {
  test('the event nearest to a time is found in both directions, at the very time, and not beyond the ends', async (t) => {
    const clock = handClock(START_MS);
    const server = await testServer(t, { database, clock });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const daily: string[] = [];
    for (let day = 1; day <= 5; day++) {
      clock.advance(DAY_MS);
      daily.push(await alice.say(room, `day ${day}`));
    }
    const idAt = async (ts: number, dir: 'f' | 'b') => succeeded(await near(alice, room, ts, dir)).event_id;

    const middle = START_MS + 2.5 * DAY_MS;
    assert.equal(await idAt(middle, 'b'), daily[1]);
    assert.equal(await idAt(middle, 'f'), daily[2]);
    assert.deepEqual(succeeded(await near(alice, room, START_MS + 3 * DAY_MS, 'b')), {
      event_id: daily[2],
      origin_server_ts: START_MS + 3 * DAY_MS,
    });
    assert.equal(await idAt(START_MS + 3 * DAY_MS, 'f'), daily[2]);
    assert.equal((await near(alice, room, START_MS + 6 * DAY_MS, 'f')).status, 404);
    assert.equal((await near(alice, room, START_MS - 1, 'b')).body.errcode, 'M_NOT_FOUND');
  });

  test('events that one may not see are passed over, and rooms that one may not read are refused', async (t) => {
    const clock = handClock(START_MS);
    const server = await testServer(t, { database, clock });
    const [alice, bob, mallory] = [await server.user('alice'), await server.user('bob'), await server.user('mallory')];
    const room = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
    });
    clock.advance(DAY_MS);
    await alice.say(room, 'hidden');
    clock.advance(DAY_MS);
    await bob.join(room);

    const first = succeeded(await near(bob, room, START_MS + 1, 'f'));
    const before = succeeded(await near(bob, room, START_MS + 1.5 * DAY_MS, 'b'));
    const refused = await near(mallory, room, 0, 'f');

    assert.equal(first.origin_server_ts, START_MS + 2 * DAY_MS);
    // What came before the room hid its history is shared with who joins.
    assert.equal(before.origin_server_ts, START_MS);
    assert.deepEqual([refused.status, refused.body.errcode], [403, 'M_FORBIDDEN']);
    assert.equal((await bob.get(`/v1/rooms/${room.id}/timestamp_to_event`, { ts: 0 })).body.errcode, 'M_MISSING_PARAM');
  });
});
