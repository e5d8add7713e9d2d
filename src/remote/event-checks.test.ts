import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RoomId, ServerName } from '../core/ids.ts';
import { parseJson } from '../core/json.ts';
import type { JsonObject, JsonValue } from '../core/json-value.ts';
import { findRoomRules, ROOM_RULES, type RoomVersion } from '../core/room-versions.ts';
import { signingKeyFromSeed } from '../core/signing.ts';
import { handClock } from '../kit/clock.ts';
import { silentLog } from '../kit/log.ts';
import { seededRandom } from '../kit/random.ts';
import { openDatabase } from '../storage/open.ts';
import { type EventFields, type RemoteServer, remoteServer } from '../testing/remote-server.ts';
import { EventCheckThreads } from '../workers/event-check-threads.ts';
import { type CheckedEvent, EventChecks } from './event-checks.ts';
import { Keyring } from './keyring.ts';
import { RemoteError } from './remote-error.ts';
import type { ServerCaller } from './server-caller.ts';

const serverName = 'myelin.test' as ServerName;
const OTHER_KEY = signingKeyFromSeed('other', seededRandom(99).bytes(32));
const VERSIONS = [...ROOM_RULES.keys()] as RoomVersion[];

async function scene(t: TestContext) {
  const clock = handClock();
  const servers = new Map<string, RemoteServer>();
  const asked: string[] = [];
  const caller: ServerCaller = {
    async call(name) {
      asked.push(name);
      const server = servers.get(name);
      if (server === undefined) throw new RemoteError('unreachable', 'Not in this test.');
      // The keyring asks for nothing else than keys.
      return server.keys() as never;
    },
  };
  const db = await openDatabase({ kind: 'sqlite', path: ':memory:', synchronous: 'off' }, { info() {} });
  t.after(() => db.close());
  const keys = new Keyring({
    db,
    serverName,
    signingKeys: [],
    notaries: [],
    caller,
    clock,
    log: silentLog,
  });
  const threads = new EventCheckThreads({ clock, threadsMax: 1 });
  t.after(() => threads.stop());
  const checks = new EventChecks({ keys, threads });
  const tested = { serverName, clock, places: new Map<string, string>(), url: 'http://127.0.0.1:1' };
  const at = async (name: string) => {
    const server = await remoteServer(t, tested, { name });
    servers.set(name, server);
    return server;
  };
  const remote = await at('remote.test');
  /** As one of few, which are checked here, and as one of many, which are checked in threads: both say the same. */
  const check = async (version: RoomVersion, wire: JsonValue, roomId?: string): Promise<CheckedEvent> => {
    const rules = findRoomRules(version)!;
    const options = roomId === undefined ? {} : { roomId: roomId as RoomId };
    const [alone] = await checks.check(rules, [wire], options);
    const many = await checks.check(
      rules,
      Array.from({ length: 40 }, () => wire),
      options,
    );
    for (const one of many) assert.deepEqual(one, alone);
    return alone!;
  };
  return { clock, asked, checks, remote, at, check };
}

const roomIdOf = (version: RoomVersion): string =>
  findRoomRules(version)!.roomIdIsCreateHash ? `!${'a'.repeat(43)}` : '!room:remote.test';

function messageOf(remote: RemoteServer, version: RoomVersion, more: Partial<EventFields> = {}): JsonObject {
  return remote.buildEvent(version, {
    roomId: roomIdOf(version),
    type: 'm.room.message',
    sender: remote.userId('alice'),
    content: { msgtype: 'm.text', body: 'hello' },
    ...more,
  }).json;
}

/** The signatures without the one entry, or with another text in it. */
const withSignatures = (json: JsonObject, signatures: JsonObject): JsonObject => ({ ...json, signatures });
const refusalOf = (checked: CheckedEvent): string => ('refusal' in checked ? checked.refusal : 'let through');

for (const version of VERSIONS) {
  test(`an honest event is let through as it is, in room version ${version}`, async (t) => {
    const { remote, check } = await scene(t);
    const json = messageOf(remote, version);

    const checked = await check(version, { ...json, unsigned: { age: 5 } }, roomIdOf(version));

    assert.ok('pdu' in checked, refusalOf(checked));
    assert.equal(checked.isRedacted, false);
    assert.deepEqual(checked.pdu.json, json);
  });

  test(`one that is not signed as it must be is refused, in room version ${version} (A3)`, async (t) => {
    const { remote, at, check } = await scene(t);
    const other = await at('other.test');
    const rules = findRoomRules(version)!;
    const json = messageOf(remote, version);
    const { keyId } = remote.signingKey;
    const good = (json['signatures'] as Record<string, Record<string, string>>)['remote.test']![keyId]!;
    const unsigned = withSignatures(json, {});
    const cases: [what: string, wire: JsonObject, refusal: RegExp][] = [
      ['no signature', unsigned, /remote\.test has not signed/],
      ['another server signed', other.signEvent(rules, unsigned), /remote\.test has not signed/],
      [
        'another key signed',
        remote.signEvent(rules, unsigned, { ...OTHER_KEY, keyId }),
        /signature of remote\.test by .* is wrong/,
      ],
      ['a key that nobody knows', remote.signEvent(rules, unsigned, OTHER_KEY), /no key ed25519:other of remote\.test/],
      ['under another ID', withSignatures(json, { 'remote.test': { 'ed25519:x': good } }), /no key ed25519:x/],
      ['malformed', withSignatures(json, { 'remote.test': { [keyId]: 'no base64!' } }), /is wrong/],
      ['no text', withSignatures(json, { 'remote.test': { [keyId]: 1 } }), /signatures is not an object/],
      ['another sender', { ...json, sender: '@alice:other.test' }, /other\.test has not signed/],
      ['a later depth', { ...json, depth: 9 }, /is wrong/],
    ];

    for (const [what, wire, refusal] of cases) {
      const checked = await check(version, wire);
      assert.match(refusalOf(checked), refusal, what);
      assert.ok('eventId' in checked && (checked.eventId === null) === (what === 'no text'), what);
    }
  });

  test(`one whose content hash is wrong counts in its redacted form, in room version ${version} (A3)`, async (t) => {
    const { remote, check } = await scene(t);
    const json = messageOf(remote, version);

    const changed = await check(version, { ...json, content: { msgtype: 'm.text', body: 'goodbye' } });
    const withMore = await check(version, { ...json, extra: { of: 'mine' } });

    for (const checked of [changed, withMore]) {
      assert.ok('pdu' in checked, refusalOf(checked));
      assert.equal(checked.isRedacted, true);
      assert.deepEqual(checked.pdu.content, {});
      assert.equal(checked.pdu.json['extra'], undefined);
    }
  });

  test(`a key must be good for the time of the event from room version 5 on; this is ${version} (C15)`, async (t) => {
    const { remote, clock, check } = await scene(t);
    const old = signingKeyFromSeed('old', seededRandom(3).bytes(32));
    const expiredTs = clock.now() - 1000;
    remote.keys = () => remote.honestKeys({ oldKeys: { [old.keyId]: { key: old.publicKey, expiredTs } } });
    const signedAt = (originServerTs: number, key = old): JsonObject => {
      const rules = findRoomRules(version)!;
      return remote.signEvent(rules, withSignatures(messageOf(remote, version, { originServerTs }), {}), key);
    };
    const isLetThrough = async (wire: JsonObject) => 'pdu' in (await check(version, wire));
    const isStrict = Number(version) >= 5;

    assert.equal(await isLetThrough(signedAt(expiredTs)), true);
    assert.equal(await isLetThrough(signedAt(expiredTs + 1)), !isStrict);
    // Whatever a server says of its keys, nobody believes them for longer than a week.
    remote.keys = () => remote.honestKeys({ validUntilMs: 2 ** 52 });
    clock.advance(60_000);
    const weekMs = clock.now() + 7 * 86_400_000;
    assert.equal(await isLetThrough(signedAt(weekMs, remote.signingKey)), true);
    clock.advance(60_000);
    assert.equal(await isLetThrough(signedAt(weekMs + 60_001, remote.signingKey)), !isStrict);
  });
}

test('in room versions 1 and 2 the server that is named in the event ID must sign too', async (t) => {
  const { remote, at, check } = await scene(t);
  const other = await at('other.test');
  for (const version of ['1', '2'] as const) {
    const json = messageOf(remote, version, { eventId: '$x:other.test' });

    assert.match(refusalOf(await check(version, json)), /other\.test has not signed/);
    assert.ok('pdu' in (await check(version, other.signEvent(findRoomRules(version)!, json))));
  }
});

test('a restricted join must be signed by the server of who authorized it (B10)', async (t) => {
  const { remote, at, check } = await scene(t);
  const other = await at('other.test');
  const join = (version: RoomVersion) =>
    messageOf(remote, version, {
      type: 'm.room.member',
      stateKey: remote.userId('alice'),
      content: { membership: 'join', join_authorised_via_users_server: '@admin:other.test' },
    });

  assert.match(refusalOf(await check('10', join('10'))), /other\.test has not signed/);
  assert.ok('pdu' in (await check('10', other.signEvent(findRoomRules('10')!, join('10')))));
  assert.ok('pdu' in (await check('7', join('7'))), 'room version 7 knows no such joins');
});

test('an invite by a third party needs no signature of its sender, but then its hash must be right (B12)', async (t) => {
  const { remote, check } = await scene(t);
  const invite = messageOf(remote, '10', {
    type: 'm.room.member',
    sender: '@alice:elsewhere.test',
    stateKey: remote.userId('bob'),
    content: { membership: 'invite', third_party_invite: { signed: { token: 't' } } },
  });

  assert.ok('pdu' in (await check('10', invite)));
  assert.equal(refusalOf(await check('10', { ...invite, extra: 1 })), 'the content hash is wrong');
});

test('what cannot be an event is refused before anything is asked or hashed (A1, A6, A10)', async (t) => {
  const { remote, asked, checks } = await scene(t);
  const json = messageOf(remote, '11');
  const wires: JsonValue[] = [
    null,
    [],
    'event',
    {},
    { ...json, content: { n: 1.5 } },
    parseJson(JSON.stringify(json).replace('"hello"', '1e2'), { keepNumberText: true }),
    { ...json, unsigned: { half: '\ud800' } },
    { ...json, content: { minus: -0 } },
    { ...json, content: { body: 'x'.repeat(65_536) } },
    { ...json, content: { list: Array.from({ length: 40_000 }, () => 1) } },
  ];

  const checked = await checks.check(findRoomRules('11')!, wires);

  for (const [index, one] of checked.entries()) assert.ok('refusal' in one && one.eventId === null, String(index));
  assert.deepEqual(asked, []);
  assert.match(
    refusalOf((await checks.check(findRoomRules('11')!, [{ ...json, type: 5 }]))[0]!),
    /type is not a string/,
  );
});

test('numbers of old rooms are hashed as they were written, here and in threads (A1)', async (t) => {
  const { remote, check } = await scene(t);
  const content = parseJson('{"a":1.50,"b":1e3,"c":12345678901234567890}', { keepNumberText: true }) as JsonObject;
  const json = messageOf(remote, '5', { content: { a: 1 } });
  const wire = { ...json, content };

  const checked = await check('5', wire);

  // Its hash is that of another content: what counts is that both ways read the same.
  assert.ok('pdu' in checked && checked.isRedacted);
});

test('a time that no key reaches is refused where keys must be good for it, also written as text (A2, C15)', async (t) => {
  const { remote, check } = await scene(t);
  const rules = findRoomRules('5')!;
  const json = messageOf(remote, '5');
  const originServerTs = parseJson('99999999999999999999', { keepNumberText: true });

  const far = remote.signEvent(rules, { ...json, origin_server_ts: originServerTs, signatures: {} });

  assert.match(refusalOf(await check('5', far)), /no key .* good for the event/);
});

test('an event of another room is refused, and so is one of ours that a stranger signed (A5)', async (t) => {
  const { remote, check } = await scene(t);
  const json = messageOf(remote, '11');

  assert.equal(refusalOf(await check('11', json, '!else:remote.test')), 'the event is one of another room');
  assert.match(refusalOf(await check('11', { ...json, sender: '@alice:myelin.test' })), /myelin\.test has not signed/);
});

test('the answers come in the order of the events, and each server is asked for its keys once', async (t) => {
  const { remote, asked, at, checks } = await scene(t);
  const servers = [remote, await at('b.test'), await at('c.test')];
  const events = Array.from({ length: 200 }, (_, index) => {
    const server = servers[index % 3]!;
    return messageOf(server, '11', { depth: index + 1 });
  });
  const wires = events.map(
    (json, index): JsonValue => (index % 5 === 0 ? null : index % 7 === 0 ? { ...json, signatures: {} } : json),
  );

  const checked = await checks.check(findRoomRules('11')!, wires);

  for (const [index, one] of checked.entries()) {
    if (index % 5 === 0 || index % 7 === 0) assert.ok('refusal' in one, String(index));
    else assert.equal('pdu' in one && one.pdu.depth, index + 1);
  }
  assert.deepEqual(asked.sort(), ['b.test', 'c.test', 'remote.test']);
});

test('a thread that dies takes only its own work with it', async (t) => {
  const clock = handClock();
  const threads = new EventCheckThreads({ clock, threadsMax: 1 });
  t.after(() => threads.stop());
  // No such version: a fault of ours, which must show and must not stop the next piece of work.
  await assert.rejects(threads.check('0' as RoomVersion, [['{}', []]]));

  const [verdict] = await threads.check('11', [['{}', []]]);

  assert.ok(verdict !== undefined && 'refusal' in verdict);
  // It is ended when nobody has needed it for a while, and started again.
  clock.advance(120_000);
  assert.equal((await threads.check('11', [['{}', []]])).length, 1);
});
