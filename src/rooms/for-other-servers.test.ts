/** Events that another server signs before they come into a room: templates for its users, and invites of ours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import { MatrixError } from '../core/errors.ts';
import type { EventId, UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { buildPdu, pduFromStored } from '../core/pdu-format.ts';
import { findRoomRules, type RoomVersion } from '../core/room-versions.ts';
import { signaturesOf, signEvent, signingKeyFromSeed } from '../core/signing.ts';
import { ALICE, publicRoomDrafts, sayDraft, startEngine, stateDraft } from '../testing/engine.ts';

const REMOTE = 'remote.test';
const REMOTE_KEY = signingKeyFromSeed('r', Buffer.alloc(32, 9));
const bob = '@bob:remote.test' as UserId;

type Test = { after(done: () => unknown): void };

forEachDatabase((database) => {
  async function scene(t: Test, version: RoomVersion) {
    const engine = await startEngine(await engineDatabase(t, database));
    const rules = findRoomRules(version)!;
    const [create] = await engine.rooms.create(rules, publicRoomDrafts(version));
    const { roomId } = create!.pdu;
    return { ...engine, rules, roomId, live: await engine.rooms.get(roomId) };
  }

  for (const version of ['1', '6', '12'] as const) {
    test(`a template of version ${version}, signed by the server of its user, comes into the room`, async (t) => {
      const { rooms, rules, roomId, live } = await scene(t, version);

      const template = await rooms.template(roomId, stateDraft(bob, 'm.room.member', bob, { membership: 'join' }));

      assert.deepEqual(
        [template['hashes'], template['signatures'], template['event_id']],
        [undefined, undefined, undefined],
      );
      const json = { ...template, event_id: '$its-own:remote.test', hashes: { sha256: '' }, signatures: {} };
      const { prevEvents, authEvents, depth } = pduFromStored(rules, '$x' as EventId, json as JsonObject);
      const { pdu } = buildPdu(
        rules,
        {
          roomId,
          type: 'm.room.member',
          stateKey: bob,
          sender: bob,
          content: { membership: 'join' },
          redacts: null,
          originServerTs: 5,
          depth,
          prevEvents,
          authEvents,
          ...(version === '1' ? { eventId: '$its-own:remote.test' as EventId } : {}),
        },
        REMOTE,
        REMOTE_KEY,
      );
      const [verdict] = await rooms.append(roomId, [{ pdu, kind: 'live' }]);
      assert.equal(verdict!.standing, 'ok');
      assert.equal(live.membershipOf(bob), 'join');
    });

    test(`an invite of version ${version} that another server signs is the same event, with two signatures`, async (t) => {
      const { rooms, events, rules, roomId, live } = await scene(t, version);
      const draft = stateDraft(ALICE, 'm.room.member', bob, { membership: 'invite' });

      const built = await rooms.build(roomId, draft);

      assert.equal(live.membershipOf(bob), null, 'nothing has happened yet');
      assert.equal(await events.findById(built.eventId), undefined);
      const signed = pduFromStored(rules, built.eventId, signEvent(rules, built.json, REMOTE, REMOTE_KEY));
      await rooms.send(roomId, [sayDraft(ALICE, 'the room goes on meanwhile')]);
      const [verdict] = await rooms.append(roomId, [{ pdu: signed, kind: 'live' }]);
      assert.deepEqual([verdict!.eventId, verdict!.standing], [built.eventId, 'ok']);
      assert.equal(live.membershipOf(bob), 'invite');
      const { pdu } = (await events.findById(built.eventId))!;
      assert.deepEqual([...signaturesOf(pdu.json, REMOTE).keys()], [REMOTE_KEY.keyId]);
    });
  }

  test('what the rules of the room refuse gets no template, and is not built', async (t) => {
    const { rooms, roomId } = await scene(t, '11');
    const refused = (error: unknown) => error instanceof MatrixError && error.status === 403;
    await rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', bob, { membership: 'ban' })]);

    await assert.rejects(
      rooms.template(roomId, stateDraft(bob, 'm.room.member', bob, { membership: 'join' })),
      refused,
    );
    await assert.rejects(
      rooms.build(roomId, stateDraft(ALICE, 'm.room.member', bob, { membership: 'invite' })),
      refused,
    );
    assert.equal((await rooms.send(roomId, [sayDraft(ALICE, 'unharmed')])).length, 1);
  });

  test('who lost the power to invite before the other server signed does not invite', async (t) => {
    const { rooms, rules, roomId, live } = await scene(t, '11');
    const dora = '@dora:example.org' as UserId;
    await rooms.send(roomId, [stateDraft(dora, 'm.room.member', dora, { membership: 'join' })]);
    const built = await rooms.build(roomId, stateDraft(dora, 'm.room.member', bob, { membership: 'invite' }));
    await rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', dora, { membership: 'ban' })]);

    const signed = pduFromStored(rules, built.eventId, signEvent(rules, built.json, REMOTE, REMOTE_KEY));
    const [verdict] = await rooms.append(roomId, [{ pdu: signed, kind: 'live' }]);

    assert.equal(verdict!.standing, 'soft-failed');
    assert.equal(live.membershipOf(bob), null);
  });
});
