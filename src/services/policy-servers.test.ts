/** A room's policy server signs what is said in it, or it is not heard; and whatever it does, it can do no more than that. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { enter } from '../../test/support/handshakes.ts';
import { PlayedRoom, playedRoom } from '../../test/support/played-room.ts';
import type { ServerName } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { isSignedByPolicyServer } from '../core/policy-server.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { signEvent, signingKeyFromSeed } from '../core/signing.ts';
import { handClock } from '../kit/clock.ts';
import { type RemoteEvent, type RemoteReply, remoteServer } from '../testing/remote-server.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

const SIGN = /^\/_matrix\/policy\//;
const STABLE = /^\/_matrix\/policy\/v1\/sign$/;
const KEY = signingKeyFromSeed('policy_server', Buffer.alloc(32, 5));
const OTHER_KEY = signingKeyFromSeed('policy_server', Buffer.alloc(32, 6));
const rules = findRoomRules('11')!;

const enc = encodeURIComponent;
type Word = (event: JsonObject) => RemoteReply | Promise<RemoteReply>;

const signaturesOf = (event: JsonValue | undefined, server: string): JsonValue | undefined => {
  const signatures = isJsonObject(event) ? event['signatures'] : undefined;
  return isJsonObject(signatures) ? signatures[server] : undefined;
};

/** Says yes. */
const yes =
  (server: string, key = KEY): Word =>
  (event) => ({
    json: { [server]: signaturesOf(signEvent(rules, { ...event, signatures: {} }, server, key), server)! },
  });
const no: Word = () => ({ status: 400, json: { errcode: 'M_FORBIDDEN', error: 'This looks like spam.' } });

forEachDatabase((database) => {
  async function scene(t: TestContext, { isInRoom = true }: { isInRoom?: boolean } = {}) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const alice = await server.user('alice');
    const policy = await remoteServer(t, server, { name: 'policy.test' });
    const other = await remoteServer(t, server, { name: 'other.test' });
    const { room, played } = await playedRoom(other, alice);
    if (isInRoom) {
      const guard = new PlayedRoom(policy, room.id, '11');
      await guard.look(alice);
      played.keep(await guard.join());
    }
    const state = (type: string, content: JsonObject, stateKey = '') =>
      alice.put(`/v3/rooms/${enc(room.id)}/state/${enc(type)}/${enc(stateKey)}`, content);
    const use = async (content: JsonObject = { via: 'policy.test', public_keys: { ed25519: KEY.publicKey } }) => {
      succeeded(await state('m.room.policy', content));
      await played.look(alice);
    };
    const say = (body: string, txnId = body) =>
      alice.put(`/v3/rooms/${enc(room.id)}/send/m.room.message/${enc(txnId)}`, { msgtype: 'm.text', body });
    const word = (answer: Word, path = STABLE) => policy.route('POST', path, ({ body }) => answer(body as JsonObject));
    const asked = () => policy.requestsTo(SIGN).length;
    const wire = async (eventId: string) => {
      const reply = succeeded(await other.signedRequest('GET', `/_matrix/federation/v1/event/${enc(eventId)}`));
      return reply.pdus[0] as JsonObject;
    };
    return { clock, server, alice, policy, other, room, played, state, use, say, word, asked, wire };
  }

  const heard = async (user: TestUser, room: { id: string }): Promise<string[]> => {
    const { chunk } = succeeded(await user.get(`/v3/rooms/${enc(room.id)}/messages`, { dir: 'b', limit: 30 }));
    return chunk
      .filter(({ type }: { type: string }) => type === 'm.room.message')
      .map(({ content }: { content: { body: string } }) => content.body)
      .reverse();
  };
  const memberOf = async (user: TestUser, room: { id: string }, userId: string): Promise<JsonObject> =>
    succeeded(await user.get(`/v3/rooms/${enc(room.id)}/state/m.room.member/${enc(userId)}`));
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  /** An event as it comes signed by the policy server already. */
  const signed = (event: RemoteEvent, key = KEY): RemoteEvent => ({
    ...event,
    json: signEvent(rules, event.json, 'policy.test', key),
  });

  test('what a local user says is shown to the policy server, and goes out with its signature', async (t) => {
    const { server, use, say, word, policy, wire, alice, room } = await scene(t);
    await use();
    word(yes('policy.test'));

    const sent = succeeded(await say('hello'));
    const again = succeeded(await say('hello'));

    assert.equal(sent.event_id, again.event_id);
    const [request, ...more] = policy.requestsTo(SIGN);
    assert.equal(more.length, 0);
    assert.equal((request!.body as JsonObject)['type'], 'm.room.message');
    const event = await wire(sent.event_id);
    assert.ok(
      isSignedByPolicyServer(rules, event, { serverName: 'policy.test' as ServerName, publicKey: KEY.publicKey }),
    );
    assert.ok(isJsonObject(signaturesOf(event, server.serverName)));
    assert.deepEqual(await heard(alice, room), ['hello']);
    const [timeline] = (await alice.sync()).rooms.join[room.id].timeline.events.slice(-1);
    assert.equal(timeline.unsigned.transaction_id, 'hello');
  });

  test('what the policy server refuses is not sent, with its own sentence', async (t) => {
    const { use, say, word, state, alice, room } = await scene(t);
    await use();
    word(no);

    const refused = await say('spam');
    const topic = await state('m.room.topic', { topic: 'spam' });

    assert.deepEqual([refused.status, refused.body], [403, { errcode: 'M_FORBIDDEN', error: 'This looks like spam.' }]);
    assert.equal(topic.status, 403);
    assert.deepEqual(await heard(alice, room), []);
    word(yes('policy.test'));
    succeeded(await say('spam', 'another'));
    assert.deepEqual(await heard(alice, room), ['spam']);
  });

  test('a limit of the policy server is told as one, and an older server is asked by the path that it knows', async (t) => {
    const { use, say, word } = await scene(t);
    await use();
    word(() => ({ status: 429, json: { errcode: 'M_LIMIT_EXCEEDED', error: 'Slow down.', retry_after_ms: 1234 } }));

    const limited = await say('one');

    assert.deepEqual(
      [limited.status, limited.body.errcode, limited.body.retry_after_ms],
      [429, 'M_LIMIT_EXCEEDED', 1234],
    );
    word(() => ({ status: 404, json: { errcode: 'M_UNRECOGNIZED', error: 'What?' } }));
    word(yes('policy.test'), /^\/_matrix\/policy\/unstable\/org\.matrix\.msc4284\/sign$/);
    succeeded(await say('two'));
    word(() => ({ json: {} }), /unstable/);
    assert.equal((await say('three')).status, 403);
  });

  test('memberships, invites and joins through us are shown to it too', async (t) => {
    const { use, word, alice, server, room, policy, other, asked } = await scene(t);
    const bob = await server.user('bob');
    await use();
    word(no);

    const invite = await alice.post(`/v3/rooms/${enc(room.id)}/invite`, { user_id: other.userId('carol') });
    const join = await bob.post(`/v3/join/${enc(room.id)}`, {});

    assert.deepEqual([invite.status, join.status], [403, 403]);
    assert.equal(other.requestsTo(/\/invite\//).length, 0);
    word(yes('policy.test'));
    succeeded(await bob.post(`/v3/join/${enc(room.id)}`, {}));
    const types = policy.requestsTo(SIGN).map(({ body }) => (body as JsonObject)['type']);
    assert.deepEqual(types, ['m.room.member', 'm.room.member', 'm.room.member']);
    assert.equal(asked(), 3);
  });

  test('a user of another server who joins through us is shown to it, and comes in with its signature', async (t) => {
    const { use, word, room, other, wire } = await scene(t);
    await use();
    word(no);

    const refused = await enter(other, 'join', room.id, other.userId('dan'));
    assert.deepEqual([refused.reply.status, refused.reply.body.error], [403, 'This looks like spam.']);
    word(yes('policy.test'));
    const { reply, event } = await enter(other, 'join', room.id, other.userId('dan'));

    assert.equal(reply.status, 200);
    assert.ok(isJsonObject(signaturesOf(await wire(event.eventId), 'policy.test')));
  });

  test('a user of the policy server is no exception, and its key in the room is no key of that server', async (t) => {
    const { use, word, room, alice, policy, asked } = await scene(t);
    await use();
    word(no);
    const guard = new PlayedRoom(policy, room.id, '11');
    await guard.look(alice);
    const byRoomKeyOnly = guard.say('signed by the key in the room only');
    const { [policy.serverName]: _, ...rest } = byRoomKeyOnly.json['signatures'] as JsonObject;
    const forged = signed({ ...byRoomKeyOnly, json: { ...byRoomKeyOnly.json, signatures: rest } });

    const results = await guard.send([forged]);
    assert.match(results[forged.eventId]!.error!, /policy\.test has not signed the event/);
    await guard.look(alice);
    const [held, good] = [guard.say('held'), guard.say('good')];
    await guard.send([held, signed(good)]);

    assert.equal(asked(), 1);
    assert.deepEqual(await heard(alice, room), ['good']);
    assert.equal(policy.requestsTo(/\/key\/v2\/server$/).length, 1);
  });

  test('what comes signed is heard; what comes unsigned is shown to it first, and not heard where it refuses', async (t) => {
    const { use, word, played, alice, room, asked, wire } = await scene(t);
    await use();
    word((event) => ((event['content'] as JsonObject)['body'] === 'bad' ? no(event) : yes('policy.test')(event)));

    const good = signed(played.say('signed'));
    assert.deepEqual(await played.send([good]), { [good.eventId]: {} });
    assert.equal(asked(), 0);
    const [plain, bad] = [played.say('plain'), played.say('bad')];
    played.keep(plain);
    assert.deepEqual(await played.send([plain, bad]), { [plain.eventId]: {}, [bad.eventId]: {} });
    assert.equal(asked(), 2);
    await played.send([plain, bad]);

    assert.equal(asked(), 2, 'what was judged is not shown again');
    assert.deepEqual(await heard(alice, room), ['signed', 'plain']);
    // Whoever asks us for the event need not ask for the signature.
    assert.ok(isJsonObject(signaturesOf(await wire(plain.eventId), 'policy.test')));
  });

  test('the event that names the policy server needs nobody: a room can always do without it (B13)', async (t) => {
    const { use, word, say, state, alice, room, asked, played } = await scene(t);
    await use();
    word(no);

    assert.equal((await state('m.room.policy', {}, 'another key')).status, 403);
    succeeded(await state('m.room.policy', {}));
    const before = asked();
    succeeded(await say('free'));
    await played.look(alice);
    await played.send([played.say('free too')]);

    assert.equal(asked(), before);
    assert.deepEqual(await heard(alice, room), ['free', 'free too']);
  });

  test('a server with nobody in the room is not its policy server (B13)', async (t) => {
    const { use, say, asked, alice, room } = await scene(t, { isInRoom: false });
    await use();

    succeeded(await say('hello'));

    assert.equal(asked(), 0);
    assert.deepEqual(await heard(alice, room), ['hello']);
  });

  test('of two state events that name one the type of the specification counts, and be it empty (B13)', async (t) => {
    const { state, say, word, asked, alice, room } = await scene(t);
    word(yes('policy.test', OTHER_KEY));
    const old = { via: 'policy.test', public_key: OTHER_KEY.publicKey };

    succeeded(await state('org.matrix.msc4284.policy', old));
    succeeded(await say('by the old one'));
    assert.equal(asked(), 1);
    succeeded(await state('m.room.policy', { via: 'policy.test', public_keys: { ed25519: KEY.publicKey } }));
    assert.equal((await say('signed by the old key')).status, 502);
    word(yes('policy.test'));
    succeeded(await say('by the new one'));
    succeeded(await state('m.room.policy', { via: 'policy.test' }));
    const before = asked();
    succeeded(await say('by none'));

    assert.equal(asked(), before);
    assert.deepEqual(await heard(alice, room), ['by the old one', 'by the new one', 'by none']);
  });

  test('a lying policy server signs with the wrong key, for others or nonsense: nothing of it is taken (B13)', async (t) => {
    const { use, word, say, played, alice, room } = await scene(t);
    await use();
    const lies: Word[] = [
      yes('policy.test', OTHER_KEY),
      yes('other.test'),
      () => ({ json: { 'policy.test': { 'ed25519:other': 'AAAA', 'ed25519:policy_server': 'AAAA' } } }),
      () => ({ json: { 'policy.test': 7 } }),
      () => ({ json: [] as unknown as JsonObject }),
      () => ({ json: { 'policy.test': { 'ed25519:policy_server': 'A'.repeat(100_000) } } }),
    ];

    for (const [index, lie] of lies.entries()) {
      word(lie);
      assert.ok([403, 502].includes((await say(`lie ${index}`)).status), `${index}`);
      const received = signed(played.say(`received ${index}`), OTHER_KEY);
      assert.deepEqual(await played.send([received]), { [received.eventId]: {} });
    }

    assert.deepEqual(await heard(alice, room), []);
    word(yes('policy.test'));
    succeeded(await say('truth'));
    assert.deepEqual(await heard(alice, room), ['truth']);
  });

  test('a slow policy server holds up nobody for longer than seconds, and no other event of the room (B13)', async (t) => {
    const { use, word, say, state, played, alice, room, asked, clock } = await scene(t);
    await use();
    word(() => new Promise<never>(() => {}));

    const waiting = say('slow');
    await until(() => asked() === 1);
    const received = signed(played.say('meanwhile'));
    assert.deepEqual(await played.send([received]), { [received.eventId]: {} });
    clock.advance(21_000);
    const answer = await waiting;
    assert.deepEqual([answer.status, answer.body.errcode], [502, 'M_UNKNOWN']);

    const unsigned = played.say('unsigned');
    const sending = played.send([unsigned]);
    await until(() => asked() === 2);
    clock.advance(16_000);
    await sending;
    assert.deepEqual(await heard(alice, room), ['meanwhile']);
    succeeded(await state('m.room.policy', {}));
    succeeded(await say('without it'));
    assert.deepEqual(await heard(alice, room), ['meanwhile', 'without it']);
  });

  test('a policy server that is gone silences who needs it, and the state of the room goes on as elsewhere (B13)', async (t) => {
    const { use, policy, say, played, alice, room } = await scene(t);
    await use();
    await policy.stop();

    const refused = await say('nobody signs this');
    const content = { membership: 'join', displayname: 'Nobody signed this' };
    const renamed = played.build({ type: 'm.room.member', stateKey: played.bob, content });
    assert.deepEqual(await played.send([renamed]), { [renamed.eventId]: {} });
    assert.deepEqual(await memberOf(alice, room, played.bob), { membership: 'join' });
    // It stands on one that is held back here, and has the state after that: as at servers that heard that one.
    const next = signed(played.say('signed before'));
    assert.deepEqual(await played.send([next]), { [next.eventId]: {} });

    assert.equal(refused.status, 502);
    assert.deepEqual(await heard(alice, room), ['signed before']);
    assert.deepEqual(await memberOf(alice, room, played.bob), content);
    await policy.start();
  });
});
