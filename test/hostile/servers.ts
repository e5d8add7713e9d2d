/** Section C: what a hostile server says of itself and of others, how often, and how it answers. */
import assert from 'node:assert/strict';
import { signingKeyFromSeed, signJson } from '../../src/core/signing.ts';
import { sql } from '../../src/storage/sql.ts';
import type { RemoteServer } from '../../src/testing/remote-server.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import { until } from '../support/beside.ts';
import { PlayedRoom } from '../support/played-room.ts';
import type { Attack, Scene } from './attack.ts';
import { batches, refusal, sendText, transactionText, V1 } from './wire.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SEND = /^\/_matrix\/federation\/v1\/send\//;

/** Answers that ask to be left alone for ever, for no time, since long ago. */
async function absurdPauses(scene: Scene): Promise<string> {
  const { evil, alice, clock } = scene;
  const { room } = await scene.room();
  const pauses = [1e308, -5, 0, 'soon', null, 253_402_300_800_000];
  let asked = 0;
  evil.route('PUT', SEND, () => {
    const retry_after_ms = pauses[asked++ % pauses.length]!;
    return { status: asked % 2 === 0 ? 429 : 500, json: { errcode: 'M_LIMIT_EXCEEDED', error: 'no', retry_after_ms } };
  });
  await alice.say(room, 'hello');
  await until(async () => asked === 1);
  const waitsMs: number[] = [];
  for (const _ of pauses) {
    const before = asked;
    let waitedMs = 0;
    while (asked === before) {
      clock.advance(60_000);
      waitedMs += 60_000;
      await scene.meanwhile();
      assert.ok(waitedMs <= 2 * HOUR_MS, 'it is asked again within the hour, and some jitter');
    }
    waitsMs.push(waitedMs);
  }
  const taken = evil.requestsTo(SEND).length;
  evil.route('PUT', SEND, () => ({ json: { pdus: {} } }));
  await until(async () => {
    clock.advance(10 * 60_000);
    await scene.meanwhile();
    return evil.requestsTo(SEND).length > taken;
  });
  await scene.assertUsable(room);
  const minutes = waitsMs.map((ms) => ms / 60_000);
  return `asked again after at most ${minutes.join(', ')} minutes, whatever it asked for`;
}

/** Servers in a room that take connections and never answer. */
async function blackHoles(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const { room } = await scene.room();
  const servers = [...(await Promise.all(Array.from({ length: 15 }, (_, n) => scene.another(`hole${n}`))))];
  const friend = await scene.another('friend');
  for (const server of [...servers, friend]) {
    const played = new PlayedRoom(server, room.id, '11');
    await scene.meanwhile();
    await played.look(alice);
    await played.join();
  }
  const hangs = [...servers, evil];
  for (const server of hangs) server.route('PUT', SEND, () => new Promise(() => {}));
  const before = friend.requestsTo(SEND).length;
  const heldBefore = hangs.map((server) => server.requestsTo(SEND).length);

  for (const body of ['one', 'two', 'three']) await alice.say(room, body);
  const has = (body: string): boolean =>
    friend
      .requestsTo(SEND)
      .slice(before)
      .some((request) => JSON.stringify(request.body).includes(`"body":"${body}"`));
  await until(async () => has('three'));
  await scene.meanwhile();
  const held = hangs.filter((server, n) => server.requestsTo(SEND).length > heldBefore[n]!).length;

  assert.ok(['one', 'two', 'three'].every(has));
  assert.ok(held > 0, 'they were spoken to, and have not answered');
  await scene.assertUsable(room);
  return `${held} servers hold what they were sent; another one in the room has all of it`;
}

/** Floods of typing, receipts and presence: in one's own name, in others', of events and rooms that are not there. */
async function ephemeralFloods(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const { room, played } = await scene.room();
  const elsewhere = await alice.createRoom();
  const secret = await alice.say(elsewhere, 'elsewhere');
  const said = await alice.say(room, 'read me');
  await scene.meanwhile();
  const since = (await alice.sync()).next_batch;
  const rows = () =>
    scene.count(sql`select (select count(*) from receipts) + (select count(*) from presence) as count`);
  const before = await rows();
  const receipt = (userId: string, eventId: string, roomId: string, thread?: string) => ({
    edu_type: 'm.receipt',
    content: { [roomId]: { 'm.read': { [userId]: { event_ids: [eventId], data: { ts: 1, thread_id: thread } } } } },
  });
  const typing = (user_id: string, room_id: string, is = true) => ({
    edu_type: 'm.typing',
    content: { user_id, room_id, typing: is },
  });
  const presence = (userIds: readonly string[], n: number) => ({
    edu_type: 'm.presence',
    content: {
      push: userIds.map((user_id, index) => ({
        user_id,
        presence: (n + index) % 2 === 0 ? 'online' : 'unavailable',
        status_msg: `${n % 10}`.repeat(2000),
        last_active_ago: n,
      })),
    },
  });
  const strangers = Array.from({ length: 500 }, (_, n) => evil.userId(`stranger${n}`));
  const flood = Array.from({ length: 600 }, (_, n) => [
    receipt(played.bob, said, room.id),
    receipt(played.bob, said, room.id, `$${String(n).padStart(43, 't')}`),
    receipt(alice.userId, said, room.id),
    receipt(evil.userId(`stranger${n}`), said, room.id),
    receipt(played.bob, secret, room.id),
    receipt(played.bob, secret, elsewhere.id),
    typing(played.bob, room.id, n % 2 === 0),
    typing(alice.userId, room.id),
    typing(played.bob, elsewhere.id),
    presence([alice.userId, played.bob, ...(n % 50 === 0 ? strangers : [])], n),
  ]).flat();

  for (const [index, edus] of batches(flood, 100).entries()) {
    const pushing = sendText(evil, transactionText(evil, [], edus));
    if (index % 20 === 0) await scene.meanwhile();
    assert.equal((await pushing).status, 200);
  }
  await scene.meanwhile();

  const sync = await alice.sync(since);
  const { ephemeral } = sync.rooms.join[room.id];
  const ofType = (type: string) => ephemeral.events.filter((event: { type: string }) => event.type === type);
  assert.deepEqual(
    ofType('m.receipt').map((event: { content: object }) => event.content),
    [{ [said]: { 'm.read': { [played.bob]: { ts: 1 } } } }],
  );
  assert.ok(!JSON.stringify(ofType('m.typing')).includes(alice.userId));
  assert.equal(sync.rooms.join[elsewhere.id], undefined);
  const told: { sender: string }[] = sync.presence.events;
  assert.ok(told.filter(({ sender }) => sender === played.bob).length <= 1, 'of many changes the last one is told');
  assert.ok(!told.some(({ sender }) => sender.startsWith('@stranger')));
  const grown = (await rows()) - before;
  assert.ok(grown <= 3, `${grown} rows`);
  await scene.assertUsable(room);
  return `${flood.length} EDUs: one receipt, one presence and who types at last are told, ${grown} rows written; in others' names nothing`;
}

/** Keys with a validity without end, without number, signed by others, and an ID that is used again. */
async function lyingKeys(scene: Scene): Promise<string> {
  const { clock } = scene;
  const key = (name: string, byte: number) => signingKeyFromSeed(name, Buffer.alloc(32, byte));
  const path = `${V1}/publicRooms`;
  const asks = async (remote: RemoteServer, by?: ReturnType<typeof key>): Promise<string> =>
    refusal(await remote.signedRequest('GET', path, undefined, by === undefined ? {} : { key: by }));

  const forEver = await scene.another('forever');
  forEver.keys = () => forEver.honestKeys({ validUntilMs: clock.now() + 1000 * DAY_MS });
  const first = await asks(forEver);
  const askedOnce = forEver.requestsTo(/key\/v2\/server/).length;
  clock.advance(8 * DAY_MS);
  await asks(forEver);
  const askedAgain = forEver.requestsTo(/key\/v2\/server/).length;

  const countless = await scene.another('countless');
  const verifyKeys = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, n) => [`ed25519:k${n}`, { key: countless.signingKey.publicKey }]),
  );
  countless.keys = () =>
    signJson(
      { ...countless.honestKeys(), verify_keys: { ...verifyKeys }, signatures: {} },
      countless.serverName,
      countless.signingKey,
    );
  const forged = await scene.another('forged');
  forged.keys = () => ({ ...forged.honestKeys(), valid_until_ts: clock.now() + DAY_MS, signatures: {} });
  const foreign = await scene.another('foreign');
  foreign.keys = () => forged.honestKeys();
  const expired = await scene.another('expired');
  expired.keys = () => expired.honestKeys({ validUntilMs: clock.now() - 1 });
  const again = await scene.another('again');
  const before = await asks(again);
  const other = { ...key('x', 9), keyId: again.signingKey.keyId };
  again.keys = () => again.honestKeys({ keys: [other] });
  clock.advance(2 * DAY_MS);
  const byOther = await asks(again, other);
  const byFormer = await asks(again);

  const refused: Record<string, string> = {
    'ten thousand keys': await asks(countless),
    'not signed': await asks(forged),
    'of another server': await asks(foreign),
    expired: await asks(expired),
  };

  for (const [what, said] of Object.entries(refused)) assert.equal(said, '401 M_UNAUTHORIZED', what);
  assert.notEqual(first, '401 M_UNAUTHORIZED');
  assert.ok(askedAgain > askedOnce, 'after a week it is asked again');
  assert.notEqual(before, '401 M_UNAUTHORIZED');
  assert.notEqual(byOther, '401 M_UNAUTHORIZED');
  assert.equal(byFormer, '401 M_UNAUTHORIZED', 'the former key signs no more requests');
  return `${Object.keys(refused).join(', ')}: 401 M_UNAUTHORIZED; what is valid for ever is asked for again after a week`;
}

/** The key that a packager once generated for all. */
async function publicKeys(scene: Scene): Promise<string> {
  const leaked = 'l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og';
  const careless = await scene.another('careless');
  const good = signingKeyFromSeed('good', Buffer.alloc(32, 4));
  const { keyId } = careless.signingKey;
  const verify_keys = { [keyId]: { key: leaked }, [good.keyId]: { key: good.publicKey } };
  careless.keys = () => signJson({ ...careless.honestKeys(), verify_keys, signatures: {} }, careless.serverName, good);

  const byGood = await careless.signedRequest('GET', `${V1}/publicRooms`, undefined, { key: good });
  const byLeaked = await careless.signedRequest('GET', `${V1}/publicRooms`);
  const known = await scene.count(sql`select count(*) as count from server_keys where public_key = ${leaked}`);

  assert.notEqual(byGood.status, 401);
  assert.equal(refusal(byLeaked), '401 M_UNAUTHORIZED');
  assert.equal(known, 0, 'it is not even kept');
  const own = succeeded(await scene.server.get('/_matrix/key/v2/server')).verify_keys;
  assert.ok(!JSON.stringify(own).includes(leaked));
  return 'requests under it: 401 M_UNAUTHORIZED, it is not kept; the other key of that server is good';
}

export const SERVER_ATTACKS: readonly Attack[] = [
  { line: 'C10', name: 'pauses without bound', run: absurdPauses, isSilent: 'it refuses us, and we nothing' },
  { line: 'C11', name: 'black holes', run: blackHoles, isSilent: 'nothing is refused' },
  { line: 'C14', name: 'floods of typing, receipts, presence', run: ephemeralFloods },
  { line: 'C15', name: 'a key server that lies', run: lyingKeys },
  { line: 'C16', name: 'keys that all know', run: publicKeys },
];
