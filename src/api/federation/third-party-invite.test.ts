/** Invites by mail address that have found their user. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../../test/support/databases.ts';
import { V1 } from '../../../test/support/handshakes.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { findRoomRules } from '../../core/room-versions.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '../../core/signing.ts';
import { handClock } from '../../kit/clock.ts';
import { remoteServer } from '../../testing/remote-server.ts';
import type { Reply, TestUser } from '../../testing/test-client.ts';
import { testServer } from '../../testing/test-server.ts';

const id = encodeURIComponent;
const refusal = ({ status, body }: Reply) => [status, body.errcode];

const IDENTITY_KEY = signingKeyFromSeed('0', Buffer.alloc(32, 5));
const TOKEN = 'abc123';
/** What an identity server signs once an address belongs to a user. */
const proofOf = (mxid: string, token = TOKEN, key: SigningKey = IDENTITY_KEY) =>
  signJson({ mxid, token }, 'identity.test', key);

forEachDatabase((database) => {
  async function scene(t: TestContext) {
    const server = await testServer(t, { database, clock: handClock() });
    const remote = await remoteServer(t, server);
    remote.route('PUT', /\/v2\/invite\//, ({ body }) => {
      const { event, room_version: version } = body as { event: JsonObject; room_version: string };
      return { json: { event: remote.signEvent(findRoomRules(version)!, event) } };
    });
    remote.route('GET', /^\/isvalid$/, ({ query }) => ({
      json: { valid: query.get('public_key') === IDENTITY_KEY.publicKey && query.get('of') === 'identity.test' },
    }));
    const alice = await server.user('alice');
    const room = await alice.createRoom({ preset: 'private_chat', room_version: '11' });
    const offer = {
      display_name: 'b...@example.org',
      key_validity_url: `${remote.url}/isvalid?of=identity.test`,
      public_key: IDENTITY_KEY.publicKey,
    };
    await alice.setState(room, 'm.room.third_party_invite', offer, TOKEN);
    const bob = remote.userId('bob');
    const partial = (changes: JsonObject = {}, signed: JsonObject = proofOf(bob)) => ({
      type: 'm.room.member',
      room_id: room.id,
      sender: alice.userId,
      state_key: bob,
      content: { membership: 'invite', third_party_invite: { display_name: 'forged', signed } },
      ...changes,
    });
    const exchange = (body: JsonObject, roomId = room.id) =>
      remote.signedRequest('PUT', `${V1}/exchange_third_party_invite/${id(roomId)}`, body);
    const bind = (mxid: string, invites: readonly JsonObject[]) =>
      server.put(`${V1}/3pid/onbind`, { medium: 'email', address: 'b@example.org', mxid, invites });
    return { server, remote, alice, room, bob, partial, exchange, bind };
  }
  const member = async (user: TestUser, roomId: string, userId: string) =>
    (await user.get(`/v3/rooms/${id(roomId)}/state/m.room.member/${id(userId)}`)).body;

  test('an invite by address becomes one of its user, signed by the server of that user', async (t) => {
    const { remote, alice, room, bob, partial, exchange } = await scene(t);

    const reply = await exchange(partial());

    assert.deepEqual([reply.status, reply.body], [200, {}]);
    const { membership, third_party_invite: invite } = await member(alice, room.id, bob);
    assert.equal(membership, 'invite');
    assert.equal(invite.display_name, 'b...@example.org', 'as the room knows it, not as the request says');
    assert.deepEqual(invite.signed, proofOf(bob));
    assert.equal(remote.requestsTo(/\/v2\/invite\//).length, 1);
  });

  test('B12: a proof must be of an invite in the room, by its key, and for this user', async (t) => {
    const { remote, alice, room, bob, partial, exchange } = await scene(t);
    const carol = remote.userId('carol');
    const forged = signingKeyFromSeed('0', Buffer.alloc(32, 6));
    const replies = [
      await exchange(partial({}, proofOf(bob, TOKEN, forged))),
      await exchange(partial({}, proofOf(bob, 'another'))),
      await exchange(partial({}, { ...proofOf(bob), signatures: {} })),
      await exchange(partial({ state_key: carol })),
      await exchange(partial({ sender: carol })),
      await exchange(partial({ content: { membership: 'invite' } })),
      await exchange(partial({ content: { membership: 'join', third_party_invite: { signed: proofOf(bob) } } })),
    ];

    assert.deepEqual(replies.map(refusal), [
      [403, 'M_FORBIDDEN'],
      [403, 'M_FORBIDDEN'],
      [403, 'M_FORBIDDEN'],
      [400, 'M_INVALID_PARAM'],
      [400, 'M_INVALID_PARAM'],
      [400, 'M_BAD_JSON'],
      [400, 'M_INVALID_PARAM'],
    ]);
    for (const userId of [bob, carol]) assert.equal((await member(alice, room.id, userId)).errcode, 'M_NOT_FOUND');
    assert.equal(remote.requestsTo(/invite/).length, 0);
  });

  test('B12: a proof lets nobody in whose key its identity server has taken back, or cannot vouch for', async (t) => {
    const { remote, alice, room, bob, partial, exchange } = await scene(t);
    remote.route('GET', /^\/isvalid$/, () => ({ json: { valid: false } }));
    const invalid = await exchange(partial());
    remote.route('GET', /^\/isvalid$/, () => ({ json: { valid: 'perhaps' } }));
    const nonsense = await exchange(partial());
    remote.route('GET', /^\/isvalid$/, () => ({ status: 500, json: {} }));
    const broken = await exchange(partial());
    const inner = { key_validity_url: 'gopher://10.0.0.1/', public_key: IDENTITY_KEY.publicKey };
    await alice.setState(room, 'm.room.third_party_invite', inner, TOKEN);
    const odd = await exchange(partial());

    assert.deepEqual([invalid, nonsense, broken, odd].map(refusal), [
      [403, 'M_FORBIDDEN'],
      [502, 'M_UNKNOWN'],
      [502, 'M_UNKNOWN'],
      [403, 'M_FORBIDDEN'],
    ]);
    assert.equal((await member(alice, room.id, bob)).errcode, 'M_NOT_FOUND');
    // A key that names no address is valid for ever.
    await alice.setState(room, 'm.room.third_party_invite', { public_key: IDENTITY_KEY.publicKey }, TOKEN);
    assert.equal((await exchange(partial())).status, 200);
  });

  test('B12: a proof lets in once: who was put out does not come back by it', async (t) => {
    const { alice, room, bob, partial, exchange } = await scene(t);
    await exchange(partial());
    const repeated = await exchange(partial());
    await alice.post(`/v3/rooms/${id(room.id)}/kick`, { user_id: bob });

    const again = await exchange(partial());

    assert.deepEqual(
      [refusal(repeated), refusal(again)],
      [
        [403, 'M_FORBIDDEN'],
        [403, 'M_FORBIDDEN'],
      ],
    );
    assert.equal((await member(alice, room.id, bob)).membership, 'leave');
  });

  test('A5: an invite by address of another room, or of a room that we are not in, is refused', async (t) => {
    const { alice, partial, exchange } = await scene(t);
    const other = await alice.createRoom({ preset: 'private_chat', room_version: '11' });
    const unknown = '!unknown:myelin.test';

    assert.deepEqual(refusal(await exchange(partial(), other.id)), [400, 'M_INVALID_PARAM']);
    assert.deepEqual(refusal(await exchange(partial({ room_id: other.id }), other.id)), [403, 'M_FORBIDDEN']);
    assert.deepEqual(refusal(await exchange(partial({ room_id: unknown }), unknown)), [404, 'M_NOT_FOUND']);
  });

  test('an address that a user of ours has now brings the invites that waited for it, each by itself', async (t) => {
    const { server, remote, alice, room, bind } = await scene(t);
    const dora = await server.user('dora');
    remote.route('PUT', /\/exchange_third_party_invite\//, () => ({ json: {} }));
    const far = '!far:remote.test';
    const waiting = (roomId: string, sender: string, signed = proofOf(dora.userId)) => ({
      medium: 'email',
      address: 'b@example.org',
      mxid: dora.userId,
      room_id: roomId,
      sender,
      signed,
    });

    const reply = await bind(dora.userId, [
      waiting('!unknown:myelin.test', alice.userId),
      waiting(room.id, alice.userId, proofOf(alice.userId)),
      waiting(far, remote.userId('bob')),
      waiting(room.id, alice.userId),
    ]);

    assert.deepEqual([reply.status, reply.body], [200, {}]);
    assert.ok((await dora.sync()).rooms.invite[room.id]);
    const [asked] = remote.requestsTo(/\/exchange_third_party_invite\//);
    assert.deepEqual(asked!.body, {
      type: 'm.room.member',
      room_id: far,
      sender: remote.userId('bob'),
      state_key: dora.userId,
      content: { membership: 'invite', third_party_invite: { signed: proofOf(dora.userId) } },
    });
  });

  test('an address that is nobody of ours, or too many invites, are refused', async (t) => {
    const { server, alice, room, bind } = await scene(t);
    const dora = await server.user('dora');
    const waiting = { mxid: dora.userId, room_id: room.id, sender: alice.userId, signed: proofOf(dora.userId) };

    assert.deepEqual(refusal(await bind('@nobody:myelin.test', [])), [404, 'M_NOT_FOUND']);
    assert.deepEqual(refusal(await bind('@eve:elsewhere.test', [])), [404, 'M_NOT_FOUND']);
    assert.equal((await bind(dora.userId, Array(21).fill(waiting))).status, 400);
  });
});
