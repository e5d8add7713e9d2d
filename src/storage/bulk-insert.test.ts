import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import type { RoomId, UserId } from '../core/ids.ts';
import { insertAuthEntry, listAuthEntries, markAuthIndexed } from './auth-index.ts';
import { bulkInserts } from './bulk-insert.ts';
import { insertRoom } from './events.ts';
import { insertStateKey, listMembershipsOfRoom, listStateKeys, upsertMembership } from './room-state.ts';

forEachDatabase((database) => {
  test('many rows go as few statements, with every kind of value, and what is no insert stays behind them', async (t) => {
    const db = await engineDatabase(t, database);
    const count = 1200;
    const keys = Array.from({ length: count }, (_, keyNo) => ({
      keyNo,
      type: 'm.room.member',
      stateKey: ['\0', '\ue000', '"\\u0000 \'', '😀', '\ud800'][keyNo] ?? `@user${keyNo}:example.org`,
    }));
    const membership = (number: number, what: 'invite' | 'join') =>
      upsertMembership({
        roomNo: 1,
        userId: `@user${number}:example.org` as UserId,
        membership: what,
        eventNo: number,
        position: -number,
      });
    const statements = [
      markAuthIndexed(1),
      ...keys.filter(({ stateKey }) => stateKey.isWellFormed()).map((key) => insertStateKey(1, key)),
      ...keys.map(({ keyNo }) => insertAuthEntry(1, keyNo, Uint8Array.of(0, keyNo % 256, 255))),
      ...[1, 2, 3, 4].flatMap((number) => [membership(number, 'invite'), membership(number, 'join')]),
      insertRoom({ roomNo: 1, roomId: '!one:example.org' as RoomId, version: '12', createdMs: 1 }),
    ];

    const packed = await bulkInserts(statements, db.dialect);
    await db.commit(packed);

    assert.ok(packed.length < 20, `${packed.length} statements`);
    const found = (await listStateKeys(db, 1)).sort((a, b) => a.keyNo - b.keyNo);
    assert.deepEqual(
      found,
      keys.filter(({ stateKey }) => stateKey.isWellFormed()),
    );
    const [entry] = await listAuthEntries(db, 1, [300]);
    assert.deepEqual([...entry!.entry], [0, 300 % 256, 255]);
    const members = await listMembershipsOfRoom(db, 1);
    assert.deepEqual(members.map((row) => `${row.membership} ${row.position}`).sort(), [
      'join -1',
      'join -2',
      'join -3',
      'join -4',
    ]);
  });
});
