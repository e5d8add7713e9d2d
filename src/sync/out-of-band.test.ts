/** Invites into rooms that this server is not in, as those who sync learn of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import type { ServerName, UserId } from '../core/ids.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { PrejoinState } from '../rooms/prejoin-state.ts';
import { listMembershipChanges, listMembershipsOfUser } from '../storage/room-state.ts';
import type { Change } from '../stream/stream.ts';
import { ALICE, publicRoomDrafts, startEngine, stateDraft } from '../testing/engine.ts';
import { strippedState } from './room-summary.ts';

const dora = '@dora:local.org' as UserId;

forEachDatabase((database) => {
  test('an invite from outside wakes the invited user, with what was told of the room, and a leave ends it', async (t) => {
    const far = await startEngine(await engineDatabase(t, database));
    const db = await engineDatabase(t, database);
    const near = await startEngine(db, 'local.org' as ServerName);
    const made = await far.rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
    const { roomId } = made[0]!.pdu;
    const [invite] = await far.rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', dora, { membership: 'invite' })]);
    const name = { type: 'm.room.name', state_key: '', sender: ALICE, content: { name: 'Far' } };
    const changes: Change[] = [];
    near.stream.listen((change) => void changes.push(change));
    const { rules } = await far.rooms.get(roomId);

    await near.rooms.receiveOutOfBand({ roomId, rules, pdu: invite!.pdu, strippedState: [name] });

    const told = changes.at(-1)!;
    assert.deepEqual([told.kind, told.about, [...told.users]], ['event', dora, [dora]]);
    const [row] = await listMembershipsOfUser(db, dora);
    assert.deepEqual([row?.membership, row?.position], ['invite', told.position]);
    const live = await near.rooms.get(roomId);
    const member = await near.events.get(row!.eventNo);
    assert.equal(member.position, told.position);
    const prejoinState = new PrejoinState({
      events: near.events,
      config: { disableDefaultPrejoinState: false, additionalPrejoinState: [] },
    });
    const { events } = JSON.parse(await strippedState({ db, prejoinState }, live, dora, member));
    assert.deepEqual(events, [
      name,
      { type: 'm.room.member', state_key: dora, sender: ALICE, content: { membership: 'invite' } },
    ]);

    await near.rooms.leaveOutOfBand(roomId, dora);
    const [left] = await listMembershipsOfUser(db, dora);
    assert.equal(left?.membership, 'leave');
    assert.equal(await near.reader.endOfStay(await near.events.get(left!.eventNo)), null, 'never in the room');
    const story = await listMembershipChanges(db, dora, 0, near.stream.current);
    assert.deepEqual(
      story.map(({ membership }) => membership),
      ['invite', 'leave'],
    );
  });
});
