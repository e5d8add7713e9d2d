/** What redacted events said, on disk. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { databaseBeside, until } from '../../test/support/beside.ts';
import { forEachDatabase } from '../../test/support/databases.ts';
import { handClock } from '../kit/clock.ts';
import type { Reader } from '../storage/database.ts';
import { sql } from '../storage/sql.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const DAY_MS = 24 * 3_600_000;

const holds = async (db: Reader, text: string): Promise<boolean> =>
  (await db.first(sql`select 1 as one from events where json like ${`%${text}%`}`)) !== undefined;

forEachDatabase((kind) => {
  test('what a redacted event said is deleted from the disk a week later, and nothing else of it', async (t) => {
    const clock = handClock();
    const { database, open } = await databaseBeside(t, kind);
    const server = await testServer(t, { database, clock });
    const db = await open();
    const alice = await server.user('alice');
    const room = await alice.createRoom({ name: 'Garden' });
    const eventId = await alice.say(room, 'a secret of mine');
    const topicId = await alice.setState(room, 'm.room.topic', { topic: 'a secret topic' });
    await alice.say(room, 'something that stays');
    for (const each of [eventId, topicId]) {
      succeeded(await alice.put(`${roomPath(room, 'redact', each)}/${alice.transactionId()}`, { reason: 'why' }));
    }
    const seen = async () => {
      const { unsigned, ...event } = succeeded(await alice.get(roomPath(room, 'event', eventId)));
      return { ...event, because: unsigned.redacted_because.content.reason };
    };
    const before = await seen();

    clock.advance(7 * DAY_MS - 1);
    for (let turns = 0; turns < 50; turns++) await setImmediate();
    const early = [await holds(db, 'secret of mine'), await holds(db, 'secret topic')];
    clock.advance(10 * 60_000);
    await until(async () => !(await holds(db, 'secret')));

    assert.deepEqual(early, [true, true]);
    assert.equal(await holds(db, 'secret'), false);
    assert.equal(await holds(db, 'something that stays'), true);
    assert.deepEqual(before.content, {});
    assert.deepEqual(await seen(), before);
    await server.stop();
    await server.start();
    assert.deepEqual(await seen(), before);
    assert.equal((await alice.get(roomPath(room, 'state', 'm.room.topic'))).status, 200);
  });

  test('where redaction_retention_period is null, it stays', async (t) => {
    const clock = handClock();
    const { database, open } = await databaseBeside(t, kind);
    const server = await testServer(t, { database, clock, config: { rooms: { redactionRetentionMs: null } } });
    const db = await open();
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const eventId = await alice.say(room, 'a secret of mine');
    succeeded(await alice.put(`${roomPath(room, 'redact', eventId)}/${alice.transactionId()}`));

    clock.advance(365 * DAY_MS);
    for (let turns = 0; turns < 100; turns++) await setImmediate();

    assert.equal(await holds(db, 'secret of mine'), true);
  });
});
