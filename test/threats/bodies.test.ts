/** Hostile bodies of local users (threats A1, A6, A7, A8, A10): refused whole, or stored so that everybody is served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roomPath } from '../../src/testing/room-path.ts';
import type { Reply, TestRoom, TestUser } from '../../src/testing/test-client.ts';
import { type TestDatabaseKind, testServer } from '../../src/testing/test-server.ts';
import { forEachDatabase } from '../support/databases.ts';
import { assertServed, assertSound } from './served.ts';

const EVENT_BYTES_MAX = 65_536;
const JSON_TYPE = { 'content-type': 'application/json' };

forEachDatabase((database) => {
  test('A1: numbers that have no canonical form are refused wherever they stand, and nothing of them is kept', async (t) => {
    const { server, alice, bob, room } = await scene(t, database);
    const before = await assertServed([alice], room);
    const wrong = [
      '9007199254740992',
      '-9007199254740992',
      '1.5',
      '-0',
      '1e400',
      '1e16',
      '123456789012345678901234567890',
    ];

    for (const number of wrong) {
      for (const content of [
        `{"n":${number}}`,
        `{"a":{"b":[[1,{"c":${number}}]]}}`,
        `{"m.relates_to":{"x":${number}}}`,
      ]) {
        assert.equal(await sendRaw(alice, room, content), '400 M_BAD_JSON', content);
        assert.equal(await setRaw(alice, room, content), '400 M_BAD_JSON', content);
      }
    }
    for (const token of ['NaN', 'Infinity', '-Infinity', '+1', '01', '.5', '1.', '0x10', '1_000', '١']) {
      assert.equal(await sendRaw(alice, room, `{"n":${token}}`), '400 M_NOT_JSON', token);
    }

    assert.deepEqual(await assertServed([alice, bob], room), before);
    for (const number of ['9007199254740991', '-9007199254740991', '0', '1e2']) {
      assert.equal(await sendRaw(alice, room, `{"n":${number}}`), '200', number);
    }
    await assertSound(server, [room]);
    assert.equal((await assertServed([alice, bob], room)).length, before.length + 4);
  });

  test('A8: a number that reading would round is refused also where a room version allows odd numbers', async (t) => {
    const { server, alice, bob, room } = await scene(t, database, { room_version: '5' });

    assert.equal(await sendRaw(alice, room, '{"n":9007199254740993}'), '400 M_BAD_JSON');
    assert.equal(await setRaw(alice, room, '{"n":[123456789012345678901234567890]}'), '400 M_BAD_JSON');
    assert.equal(await sendRaw(alice, room, '{"n":1.5,"m":-0,"o":1e-7}'), '200');

    await assertSound(server, [room]);
    await assertServed([alice, bob], room);
  });

  test('A6: bodies that are no clean JSON are refused, and keys that mean something to JavaScript are plain keys', async (t) => {
    const { server, alice, bob, room } = await scene(t, database);
    const bytes = (...values: number[]) => Buffer.from([...Buffer.from('{"a":"'), ...values, ...Buffer.from('"}')]);
    const refused: [body: string | Buffer, outcome: string][] = [
      [bytes(0xc0, 0x80), '400 M_NOT_JSON'],
      [bytes(0xed, 0xa0, 0x80), '400 M_NOT_JSON'],
      [bytes(0xf5, 0x80, 0x80, 0x80), '400 M_NOT_JSON'],
      [bytes(0x80), '400 M_NOT_JSON'],
      [bytes(0x00), '400 M_NOT_JSON'],
      ['{"a":"\\ud800"}', '400 M_BAD_JSON'],
      ['{"\\udfff":1}', '400 M_BAD_JSON'],
      [`{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, '400 M_NOT_JSON'],
      [`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, '400 M_NOT_JSON'],
      [`{"${'k'.repeat(65_536)}":1}`, '413 M_TOO_LARGE'],
      ['{"a":1}{"b":2}', '400 M_NOT_JSON'],
      ['[]', '400 M_BAD_JSON'],
      ['null', '400 M_BAD_JSON'],
      ['"a"', '400 M_BAD_JSON'],
    ];
    for (const [body, outcome] of refused) {
      assert.equal(await sendRaw(alice, room, body), outcome, String(body).slice(0, 40));
      assert.equal(await setRaw(alice, room, body), outcome, String(body).slice(0, 40));
    }

    assert.equal(await sendRaw(alice, room, '{"a":"one","a":"two"}'), '200');
    assert.equal(
      await sendRaw(alice, room, '{"\\u0000":"\\u0000","__proto__":{"isAdmin":true},"constructor":1}'),
      '200',
    );
    assert.equal(await setRaw(alice, room, '{"__proto__":{"membership":"join"},"toString":null,"10":1,"9":1}'), '200');
    assert.equal(await sendRaw(alice, room, `{"${'k'.repeat(30_000)}":1}`), '200');

    assert.equal((await alice.get(roomPath(room, 'state', 'org.example.hostile'))).body.toString, null);
    assert.equal(({} as Record<string, unknown>)['isAdmin'], undefined);
    await assertSound(server, [room]);
    await assertServed([alice, bob], room);
  });

  test('A6: NUL and other odd characters in types, keys and transaction IDs harm nobody', async (t) => {
    const { server, alice, bob, room } = await scene(t, database);
    const odd = [
      '\0',
      'a\0b',
      '\u202e',
      '\u200b',
      '\ufeff',
      '__proto__',
      'constructor',
      '../..',
      '\n',
      '😀',
      ' ',
      '%00',
    ];

    for (const text of odd) {
      const sent = await alice.put(roomPath(room, 'send', text, `t${text}`), { body: 'x' });
      const set = await alice.put(roomPath(room, 'state', `org.example.${text}`, `k${text}`), { body: 'x' });
      const receipt = await alice.post(roomPath(room, 'receipt', 'm.read', `$${text}:x`), { thread_id: text });

      for (const { status, body } of [sent, set, receipt]) {
        assert.ok(
          status === 200 || (status >= 400 && status < 500),
          `${JSON.stringify(text)}: ${JSON.stringify(body)}`,
        );
      }
    }
    assert.equal((await alice.put(`${roomPath(room, 'send', 'm.x', 't1')}%ff`, {})).status, 404, 'no UTF-8');

    await assertSound(server, [room]);
    await assertServed([alice, bob], room);
  });

  test('A7: an event of exactly the greatest size is sent and served, one byte more is refused', async (t) => {
    const { server, alice, bob, room } = await scene(t, database);
    // So that the depth has two digits in all that follow.
    for (let count = 0; count < 5; count++) await alice.say(room, 'x');
    const sent = await alice.send(room, 'm.room.message', { body: '' });
    const overhead = await wireLength(alice, room, sent);

    const outcomeAt = (bytes: number, unit: string): Promise<string> => {
      const room8 = bytes - overhead;
      const text = unit.repeat(Math.floor(room8 / Buffer.byteLength(unit)));
      return sendRaw(
        alice,
        room,
        JSON.stringify({ body: text + 'x'.repeat(room8 - Buffer.byteLength(text)) }),
        'm.room.message',
      );
    };

    for (const unit of ['x', 'é', '😀']) {
      assert.equal(await outcomeAt(EVENT_BYTES_MAX, unit), '200', unit);
      assert.equal(await outcomeAt(EVENT_BYTES_MAX + 1, unit), '413 M_TOO_LARGE', unit);
    }
    await assertSound(server, [room]);
    await assertServed([alice, bob], room);
  });

  test('A7: types and state keys may have 255 bytes, however few characters those are', async (t) => {
    const { server, alice, bob, room } = await scene(t, database);
    const outcome = async (type: string, key: string): Promise<string> =>
      outcomeOf(await alice.put(roomPath(room, 'state', type, key), { a: 1 }));

    for (const text of ['x'.repeat(255), `x${'é'.repeat(127)}`, `xyz${'😀'.repeat(63)}`]) {
      assert.equal(await outcome(text, 'k'), '200');
      assert.equal(await outcome('org.example.t', text), '200');
      assert.equal(await outcome(`${text}y`, 'k'), '413 M_TOO_LARGE');
      assert.equal(await outcome('org.example.t', `${text}y`), '413 M_TOO_LARGE');
      assert.equal(outcomeOf(await alice.put(roomPath(room, 'send', text, `t${text.length}`), {})), '200');
      assert.equal(
        outcomeOf(await alice.put(roomPath(room, 'send', `${text}y`, `u${text.length}`), {})),
        '413 M_TOO_LARGE',
      );
    }
    await assertSound(server, [room]);
    await assertServed([alice, bob], room);
  });

  for (const version of ['5', '11', '12']) {
    test(`A10: state of a wrong shape never stops a sync, a page or a directory, in room version ${version}`, async (t) => {
      const { server, alice, bob, room } = await scene(t, database, { room_version: version, visibility: 'public' });
      const fields: [type: string, key: string, field: string][] = [
        ['m.room.name', '', 'name'],
        ['m.room.topic', '', 'topic'],
        ['m.room.topic', '', 'm.topic'],
        ['m.room.avatar', '', 'url'],
        ['m.room.history_visibility', '', 'history_visibility'],
        ['m.room.guest_access', '', 'guest_access'],
        ['m.room.join_rules', '', 'join_rule'],
        ['m.room.join_rules', '', 'allow'],
        ['m.room.server_acl', '', 'allow'],
        ['m.room.encryption', '', 'algorithm'],
        ['m.room.pinned_events', '', 'pinned'],
        ['m.room.tombstone', '', 'replacement_room'],
        ['m.room.canonical_alias', '', 'alias'],
        ['m.room.canonical_alias', '', 'alt_aliases'],
        ['m.room.third_party_invite', 'token', 'public_keys'],
        ['m.room.power_levels', '', 'users'],
        ['m.room.power_levels', '', 'events'],
        ['m.room.power_levels', '', 'users_default'],
        ['m.room.power_levels', '', 'notifications'],
        ['m.room.member', alice.userId, 'membership'],
        ['m.room.member', alice.userId, 'displayname'],
        ['m.room.member', alice.userId, 'avatar_url'],
        ['m.room.member', alice.userId, 'third_party_invite'],
        ['m.room.member', alice.userId, 'join_authorised_via_users_server'],
        ['m.room.member', 'not a user', 'membership'],
        ['m.space.child', room.id, 'via'],
      ];
      const values: unknown[] = [null, 7, true, '', 'x', [], ['x', null], {}, { a: null }, '10', [[[]]]];
      const since = (await bob.sync()).next_batch;
      let kept = 0;
      for (const [type, key, field] of fields) {
        for (const value of values) {
          const base = type === 'm.room.member' ? { membership: 'join' } : {};
          const reply = await alice.put(roomPath(room, 'state', type, key), { ...base, [field]: value });

          if (reply.status === 200) kept++;
          const outcome = `${type} ${field} ${JSON.stringify(value)}: ${outcomeOf(reply)}`;
          assert.match(outcome, /: (?:200|400 M_\w+|403 M_FORBIDDEN|404 M_\w+)$/);
        }
      }
      for (const relation of [null, 7, 'x', [], { rel_type: null }, { rel_type: 'm.thread', event_id: 7 }]) {
        await alice.send(room, 'm.room.message', { 'm.relates_to': relation, 'm.mentions': relation, body: null });
      }

      assert.ok(kept > 50, `${kept} pieces of odd state were let in`);
      assert.equal((await bob.sync(since)).rooms.join[room.id].timeline.limited, true);
      assert.equal((await alice.get('/v3/publicRooms')).status, 200);
      await assertSound(server, [room]);
      await assertServed([alice, bob], room);
      await bob.leave(room);
      assert.notEqual((await bob.sync(since)).rooms.leave[room.id], undefined);
    });
  }
});

async function scene(t: Parameters<typeof testServer>[0], database: TestDatabaseKind, options: object = {}) {
  const server = await testServer(t, { database });
  const alice = await server.user('alice');
  const bob = await server.user('bob');
  const room = await alice.createRoom({ preset: 'public_chat', ...options });
  await bob.join(room);
  return { server, alice, bob, room };
}

const outcomeOf = ({ status, body }: Reply): string => (status === 200 ? '200' : `${status} ${body.errcode}`);

async function sendRaw(user: TestUser, room: TestRoom, body: string | Buffer, type = 'org.example.hostile') {
  const path = roomPath(room, 'send', type, user.transactionId());
  return outcomeOf(await user.request('PUT', path, body, {}, JSON_TYPE));
}

async function setRaw(user: TestUser, room: TestRoom, body: string | Buffer) {
  return outcomeOf(await user.request('PUT', roomPath(room, 'state', 'org.example.hostile'), body, {}, JSON_TYPE));
}

/** The bytes of an event as other servers get it. */
async function wireLength(user: TestUser, room: TestRoom, eventId: string): Promise<number> {
  const filter = JSON.stringify({ event_format: 'federation', room: { timeline: { limit: 5 } } });
  const { timeline } = (await user.sync(undefined, { filter })).rooms.join[room.id];
  const event = timeline.events.at(-1);
  assert.equal(eventId.startsWith('$') && event.content.body === '', true);
  // What a reader learns beside the event is no part of it.
  const { unsigned: _, event_id: __, ...wire } = event;
  return Buffer.byteLength(JSON.stringify(wire));
}
