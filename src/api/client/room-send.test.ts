import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { roomPath } from '../../testing/room-path.ts';
import { succeeded } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

forEachDatabase((database) => {
  test('a transaction makes one event on one device and one path (threat D11)', async (t) => {
    const server = await testServer(t, { database });
    const phone = await server.user('alice');
    const laptop = await server.login(phone);
    const [one, two] = [await phone.createRoom(), await phone.createRoom()];
    const send = async (who: typeof phone, room: typeof one, type: string, body: string) =>
      succeeded(await who.put(roomPath(room, 'send', type, 'txn 1/ü'), { body })).event_id;

    const first = await send(phone, one, 'm.room.message', 'a');
    const repeated = await send(phone, one, 'm.room.message', 'b');
    const together = await Promise.all([1, 2, 3].map(() => send(phone, two, 'm.room.message', 'c')));
    const others = [await send(phone, one, 'm.other', 'a'), await send(laptop, one, 'm.room.message', 'a')];

    assert.equal(repeated, first);
    assert.equal(new Set(together).size, 1);
    assert.equal(new Set([first, together[0], ...others]).size, 4);
    const onPhone = succeeded(await phone.get(roomPath(one, 'event', first)));
    const onLaptop = succeeded(await laptop.get(roomPath(one, 'event', first)));
    assert.equal(onPhone.unsigned.transaction_id, 'txn 1/ü');
    assert.equal(onPhone.content.body, 'a');
    assert.equal(onLaptop.unsigned.transaction_id, undefined);
  });

  test('what is no event content, too large, or not allowed is refused', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const room = await alice.createRoom();
    let count = 0;
    const send = async (body: unknown, type = 'm.room.message', who = alice) => {
      const reply = await who.put(roomPath(room, 'send', type, `t${count++}`), body);
      return `${reply.status} ${reply.body.errcode}`;
    };

    assert.equal(await send('[]'), '400 M_BAD_JSON');
    assert.equal(await send('nonsense'), '400 M_NOT_JSON');
    assert.equal(await send(''), '400 M_NOT_JSON');
    assert.equal(await send('{"body":1.5}'), '400 M_BAD_JSON');
    assert.equal(await send('{"body":9007199254740992}'), '400 M_BAD_JSON');
    assert.equal(await send({ body: 'x'.repeat(66_000) }), '413 M_TOO_LARGE');
    assert.match(await send({}, 'x'.repeat(300)), /^4/);
    assert.equal(await send({}, 'm.room.create'), '400 M_INVALID_PARAM', 'B4: no second create event');
    assert.equal(await send({ membership: 'join' }, 'm.room.member'), '403 M_FORBIDDEN');
    assert.equal(await send({}, 'm.room.message', bob), '403 M_FORBIDDEN');
    const elsewhere = await bob.put(roomPath('!nowhere:myelin.test', 'send', 'm.room.message', '1'), {});
    assert.equal(elsewhere.body.errcode, 'M_FORBIDDEN', 'D16');
    assert.equal((await server.put(roomPath(room, 'send', 'm.room.message', '1'), {})).status, 401);
  });

  test('messages are limited per user as the configuration says', async (t) => {
    const server = await testServer(t, { database, hasRateLimits: true });
    const alice = await server.user('alice');
    const room = await alice.createRoom();

    const statuses: number[] = [];
    for (let count = 0; count < 12; count++) {
      statuses.push((await alice.put(roomPath(room, 'send', 'm.room.message', `${count}`), {})).status);
    }

    assert.equal(statuses[0], 200);
    assert.equal(statuses.at(-1), 429);
  });
});
