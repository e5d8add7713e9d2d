import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded, type TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  for (const version of ['2', '10', '12']) {
    test(`in room version ${version} a redaction empties its event, by its own path or as an event`, async (t) => {
      const server = await testServer(t, { database });
      const alice = await server.user('alice');
      const bob = await server.user('bob');
      const room = await alice.createRoom({ preset: 'public_chat', room_version: version });
      await bob.join(room);
      const first = await bob.say(room, 'first');
      const second = await bob.say(room, 'second');
      const redact = async (txnId: string) =>
        succeeded(await alice.put(roomPath(room, 'redact', first, txnId), { reason: 'rude' })).event_id;

      const redactionId = await redact('1');
      const again = await redact('1');
      await bob.send(room, 'm.room.redaction', { redacts: second, reason: 'mine' });

      assert.equal(again, redactionId);
      const event = succeeded(await bob.get(roomPath(room, 'event', first)));
      assert.deepEqual(event.content, {});
      assert.equal(event.unsigned.redacted_because.event_id, redactionId);
      assert.equal(event.unsigned.redacted_because.content.reason, 'rude');
      assert.deepEqual(succeeded(await bob.get(roomPath(room, 'event', second))).content, {});
      const redaction = succeeded(await bob.get(roomPath(room, 'event', redactionId)));
      assert.equal(redaction.redacts, first);
      assert.equal(redaction.content.redacts, first);
    });
  }

  test('others, other rooms, the create event and nothing are not redacted', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    const other = await alice.createRoom();
    await bob.join(room);
    const ofAlice = await alice.say(room, 'mine');
    const elsewhere = await alice.say(other, 'there');
    const redact = async (who: typeof alice, eventId: string) => {
      const reply = await who.put(roomPath(room, 'redact', eventId, who.transactionId()), {});
      return reply.body.errcode ?? reply.status;
    };

    assert.equal(await redact(bob, ofAlice), 'M_FORBIDDEN');
    assert.equal(await redact(bob, elsewhere), 'M_NOT_FOUND', 'A5: an event of another room is not here');
    assert.equal(await redact(bob, `$${'A'.repeat(43)}`), 'M_NOT_FOUND');
    assert.equal(await redact(alice, `$${room.id.slice(1)}`), 'M_FORBIDDEN');
    await redact(alice, elsewhere);
    assert.equal(succeeded(await alice.get(roomPath(other, 'event', elsewhere))).content.body, 'there');
    const withoutTarget = await bob.put(roomPath(room, 'send', 'm.room.redaction', '1'), { reason: 'x' });
    assert.equal(withoutTarget.body.errcode, 'M_MISSING_PARAM');
    const toNothing = await bob.put(roomPath(room, 'send', 'm.room.redaction', '2'), { redacts: 7 });
    assert.equal(toNothing.body.errcode, 'M_INVALID_PARAM');
    await bob.leave(room);
    assert.equal(await redact(bob, ofAlice), 'M_FORBIDDEN');
  });

  test('a redaction takes along what relates to its event, as far as its sender may', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const original = await bob.say(room, 'original');
    const relate = (user: TestUser, relType: string) =>
      user.send(room, 'm.room.message', { body: 'x', 'm.relates_to': { rel_type: relType, event_id: original } });
    const edit = await relate(bob, 'm.replace');
    const reference = await relate(bob, 'm.reference');
    const ofAlice = await relate(alice, 'm.replace');
    const redact = async (user: TestUser, eventId: string, relTypes: string[]) =>
      succeeded(
        await user.put(roomPath(room, 'redact', eventId, user.transactionId()), {
          'org.matrix.msc3912.with_relations': relTypes,
        }),
      ).event_id;
    const isEmpty = async (eventId: string) =>
      Object.keys(succeeded(await alice.get(roomPath(room, 'event', eventId))).content).length === 0;

    const redaction = await redact(bob, original, ['m.replace']);

    const shown = succeeded(await alice.get(roomPath(room, 'event', original)));
    assert.equal(shown.unsigned.redacted_because.event_id, redaction);
    assert.deepEqual([await isEmpty(edit), await isEmpty(reference), await isEmpty(ofAlice)], [true, false, false]);
    await redact(alice, original, ['*']);
    assert.deepEqual([await isEmpty(reference), await isEmpty(ofAlice)], [true, true]);
  });

  test('redacting what is one’s own is limited as messages are, what others wrote by a limit of its own', async (t) => {
    const generous = { perSecond: 1, burstCount: 1000 };
    const tight = { perSecond: 0.001, burstCount: 1 };
    const redactAs = async (limits: object) => {
      const server = await testServer(t, { database, config: { rateLimits: { message: generous, ...limits } } });
      const alice = await server.user('alice');
      const bob = await server.user('bob');
      const room = await alice.createRoom({ preset: 'public_chat' });
      await bob.join(room);
      const redact = async (by: TestUser) => {
        const eventId = await by.say(room, 'x');
        return (await alice.put(roomPath(room, 'redact', eventId, alice.transactionId()))).status;
      };
      return [await redact(alice), await redact(alice), await redact(bob), await redact(bob)];
    };

    assert.deepEqual(await redactAs({ adminRedaction: tight }), [200, 200, 200, 429]);
    assert.deepEqual(await redactAs({}), [200, 200, 200, 200]);
    assert.deepEqual(await redactAs({ message: { ...tight, burstCount: 5 } }), [200, 200, 200, 429]);
  });
});
