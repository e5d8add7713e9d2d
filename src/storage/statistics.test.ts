import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabaseOptions } from '../../test/support/engine-database.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { ALICE, pduAfter, publicRoomDrafts, sayDraft, startEngine } from '../testing/engine.ts';
import { openDatabase } from './open.ts';
import { openToRead } from './open-to-read.ts';
import { sql } from './sql.ts';
import { readStatistics } from './statistics.ts';

forEachDatabase((database) => {
  test('what a database holds is told while it is in use, and a look changes nothing', async (t) => {
    const options = await engineDatabaseOptions(t, database);
    const db = await openDatabase(options, { info() {} });
    const engine = await startEngine(db);
    const made = await engine.rooms.create(findRoomRules('12')!, publicRoomDrafts('12'));
    const { roomId } = made[0]!.pdu;
    const live = await engine.rooms.get(roomId);
    for (const body of ['one', 'two']) {
      const pdu = await pduAfter(engine, live, [made.at(-1)!], sayDraft(ALICE, body));
      await engine.rooms.append(roomId, [{ pdu, kind: 'live' }]);
    }

    const looking = await openToRead(options);
    const { databaseBytes, ...statistics } = await readStatistics(looking);
    await assert.rejects(looking.all(sql`delete from events`));
    await looking.close();

    assert.ok(databaseBytes > 10_000);
    assert.deepEqual(statistics, {
      users: 0,
      rooms: 1,
      events: 6,
      stateEvents: 4,
      forwardExtremities: 2,
      laggingServers: 0,
      failingServers: 0,
      outgoingEvents: 0,
      manyTips: [{ roomId, extremities: 2 }],
    });
    await db.close();
  });
});
