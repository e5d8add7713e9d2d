import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CREATOR, type EventFields, type RoomFixture, roomFixture } from '../../test/support/room-fixture.ts';
import { authEventKeys } from './auth-events.ts';
import { checkAuth, checkAuthEvents, mayRedact } from './auth-rules.ts';
import { canonicalJson, parseJson } from './json.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import { pduFromStored } from './pdu-format.ts';
import { ROOM_RULES } from './room-versions.ts';
import { signingKeyFromSeed, signJson } from './signing.ts';

const ALL_VERSIONS = [...ROOM_RULES.keys()];
const ALICE = '@alice:a.example';
const BOB = '@bob:b.example';
const CAROL = '@carol:c.example';

/** Versions from one to another, both included. */
const versions = (from: number, to = 12): string[] => ALL_VERSIONS.slice(from - 1, to);

function verdictOf(room: RoomFixture, fields: EventFields, options = {}): boolean {
  return checkAuth(room.rules, room.event(fields), room.lookup, options).allowed;
}

const memberFields = (sender: string, target: string, membership: JsonValue, more: JsonObject = {}): EventFields => ({
  type: 'm.room.member',
  sender,
  stateKey: target,
  content: { membership, ...more },
  prevEvents: ['$another'],
});

/** A room with a creator (100), Alice joined (50), Bob joined (0). */
function populatedRoom(version: string, powerLevels: JsonObject = {}): RoomFixture {
  const room = roomFixture(version);
  const creatorLevel = room.rules.creatorsArePrivileged ? {} : { [CREATOR]: 100 };
  room.put('m.room.power_levels', '', { users: { ...creatorLevel, [ALICE]: 50 }, ...powerLevels });
  room.put('m.room.join_rules', '', { join_rule: 'invite' });
  room.member(ALICE, 'join');
  room.member(BOB, 'join');
  return room;
}

test('a create event is allowed only without prev events, in a room of its own server (B4)', () => {
  for (const version of ALL_VERSIONS) {
    const { rules, create, lookup } = roomFixture(version);
    const changed = (change: JsonObject) =>
      checkAuth(rules, pduFromStored(rules, create.eventId, { ...create.json, ...change }), lookup).allowed;

    assert.equal(checkAuth(rules, create, () => undefined).allowed, true, version);
    assert.equal(changed({ prev_events: rules.hasEventReferencePairs ? [['$x:a.example', {}]] : ['$x'] }), false);
    assert.equal(changed({ room_id: '!room:other.example' }), false, `room version ${version}`);
    assert.equal(changed({ content: { ...create.content, room_version: '999' } }), false);
    assert.equal(changed({ content: { ...create.content, room_version: 1 } }), false);
    const withoutCreator = { room_version: version };
    assert.equal(changed({ content: withoutCreator }), rules.creatorFrom !== 'content');
  }
});

test('a room ID that is not the hash of the create event is refused in version 12 (B4)', () => {
  const room = populatedRoom('12');
  const elsewhere = room.event({ type: 'm.test', sender: BOB, extra: { room_id: `!${'x'.repeat(43)}` } });

  assert.equal(checkAuth(room.rules, elsewhere, room.lookup).allowed, false);
  assert.equal(checkAuthEvents(room.rules, elsewhere, [], () => false, room.create).allowed, false);
  assert.equal(
    checkAuthEvents(room.rules, room.event({ type: 'm.test', sender: BOB }), [], () => false, undefined).allowed,
    false,
  );
});

test('additional_creators must be a list of user IDs (B6)', () => {
  const lists: [JsonValue, boolean][] = [
    [[], true],
    [[BOB], true],
    [[BOB, BOB], true],
    [BOB, false],
    [null, false],
    [{ [BOB]: 1 }, false],
    [[BOB, 7], false],
    [['bob'], false],
    [['@bob'], false],
  ];
  for (const [additional, isAllowed] of lists) {
    const { rules, create } = roomFixture('12', { additional_creators: additional });
    assert.equal(checkAuth(rules, create, () => undefined).allowed, isAllowed, JSON.stringify(additional));
  }
});

test('creators of version 12 stand above every level, and users may not name them (B6)', () => {
  const room = roomFixture('12', { additional_creators: [ALICE] });
  room.put('m.room.power_levels', '', { users: { [BOB]: 9_007_199_254_740_991 }, events: { 'm.room.tombstone': 150 } });
  room.put('m.room.join_rules', '', { join_rule: 'public' });
  room.member(ALICE, 'join');
  room.member(BOB, 'join');
  const levels = (users: JsonObject): EventFields => ({
    type: 'm.room.power_levels',
    sender: CREATOR,
    stateKey: '',
    content: { users },
  });

  assert.equal(verdictOf(room, memberFields(BOB, CREATOR, 'leave')), false, 'kick of the creator');
  assert.equal(verdictOf(room, memberFields(BOB, ALICE, 'ban')), false, 'ban of an additional creator');
  assert.equal(verdictOf(room, memberFields(CREATOR, ALICE, 'ban')), false, 'creators are equal');
  assert.equal(verdictOf(room, memberFields(ALICE, BOB, 'ban')), true);
  assert.equal(verdictOf(room, { type: 'm.room.tombstone', sender: ALICE, stateKey: '', content: {} }), true);
  assert.equal(verdictOf(room, levels({ [CAROL]: 100 })), true, 'a creator takes the greatest level away');
  assert.equal(verdictOf(room, levels({ [CREATOR]: 100 })), false);
  assert.equal(verdictOf(room, levels({ [ALICE]: 0 })), false);
});

test('an additional creator has no right to the first join without an invite', () => {
  const room = roomFixture('12', { additional_creators: [ALICE] });
  const first = { ...memberFields(ALICE, ALICE, 'join'), prevEvents: [room.create.eventId] };

  assert.equal(verdictOf(room, first), false);
  assert.equal(verdictOf(room, { ...memberFields(CREATOR, CREATOR, 'join'), prevEvents: [room.create.eventId] }), true);
});

test('auth events must be the selected ones, once each, accepted, and of this room (B2)', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const { rules, create } = room;
    const pdu = room.event({ type: 'm.room.message', sender: BOB });
    const good = authEventKeys(rules, pdu).map(([type, stateKey]) => room.lookup(type, stateKey)!);
    const check = (authEvents = good, isRejected = (_: unknown) => false) =>
      checkAuthEvents(rules, pdu, authEvents, isRejected, create).allowed;
    const alien = pduFromStored(rules, good[0]!.eventId, {
      ...good.at(-1)!.json,
      room_id: rules.roomIdIsCreateHash ? `!${'y'.repeat(43)}` : '!other:a.example',
    });

    assert.equal(check(), true, `room version ${version}`);
    assert.equal(check([...good, good[0]!]), false, 'twice the same key');
    assert.equal(check([...good, room.lookup('m.room.join_rules', '')!]), false, 'not in the selection');
    assert.equal(check([...good.slice(0, -1), alien]), false, 'of another room');
    assert.equal(
      check(good, (authEvent) => authEvent === good.at(-1)),
      false,
      'rejected',
    );
    assert.equal(check([...good, room.event({ type: 'm.x', sender: BOB })]), false, 'no state event');
    // The create event is needed up to version 11, and forbidden from version 12 on.
    const withoutCreate = good.filter((authEvent) => authEvent !== create);
    assert.equal(check(withoutCreate), rules.roomIdIsCreateHash);
    assert.equal(check([...withoutCreate, create]), !rules.roomIdIsCreateHash);
    assert.equal(
      check(good, (authEvent) => authEvent === create),
      false,
      'create event rejected',
    );
  }
});

test('the selection names the target, the join rules, the token and the authorising user', () => {
  const keysOf = (version: string, fields: EventFields) => {
    const room = roomFixture(version);
    return authEventKeys(room.rules, room.event(fields)).map((pair) => pair.join('|'));
  };
  const base = ['m.room.create|', 'm.room.power_levels|', `m.room.member|${BOB}`];

  assert.deepEqual(keysOf('11', { type: 'm.test', sender: BOB }), base);
  assert.deepEqual(keysOf('12', { type: 'm.test', sender: BOB }), base.slice(1));
  assert.deepEqual(keysOf('11', memberFields(BOB, BOB, 'join')), [...base, 'm.room.join_rules|']);
  assert.deepEqual(keysOf('11', memberFields(BOB, CAROL, 'ban')), [...base, `m.room.member|${CAROL}`]);
  const thirdParty = { third_party_invite: { signed: { token: 'tok' } } };
  assert.deepEqual(keysOf('11', memberFields(BOB, CAROL, 'invite', thirdParty)), [
    ...base,
    `m.room.member|${CAROL}`,
    'm.room.join_rules|',
    'm.room.third_party_invite|tok',
  ]);
  const vouched = { join_authorised_via_users_server: ALICE };
  assert.deepEqual(keysOf('8', memberFields(BOB, BOB, 'join', vouched)).at(-1), `m.room.member|${ALICE}`);
  assert.deepEqual(keysOf('7', memberFields(BOB, BOB, 'join', vouched)).at(-1), 'm.room.join_rules|');
});

test('a room that does not federate is closed to other servers', () => {
  for (const version of ALL_VERSIONS) {
    const room = roomFixture(version, { 'm.federate': false });
    room.put('m.room.join_rules', '', { join_rule: 'public' });

    assert.equal(verdictOf(room, memberFields(BOB, BOB, 'join')), false);
    assert.equal(verdictOf(room, memberFields(ALICE, ALICE, 'join')), true);
  }
});

test('aliases events have a rule of their own up to version 5', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const aliases = (sender: string, stateKey: string): EventFields => ({ type: 'm.room.aliases', sender, stateKey });

    const isSpecial = Number(version) <= 5;
    assert.equal(verdictOf(room, aliases(CAROL, 'c.example')), isSpecial, 'from outside the room');
    assert.equal(verdictOf(room, aliases(ALICE, 'b.example')), !isSpecial, 'for another server');
  }
});

type MemberCase = {
  readonly title: string;
  readonly in: readonly string[];
  readonly joinRule?: JsonValue;
  readonly before?: Record<string, string>;
  readonly event: EventFields;
  readonly allowed: boolean;
};
const PLAIN = ['invite', 'join'];
const memberCases: MemberCase[] = [
  {
    title: 'public join',
    in: ALL_VERSIONS,
    joinRule: 'public',
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: true,
  },
  {
    title: 'banned join',
    in: ALL_VERSIONS,
    joinRule: 'public',
    before: { [CAROL]: 'ban' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: false,
  },
  {
    title: 'join for another',
    in: ALL_VERSIONS,
    joinRule: 'public',
    event: memberFields(BOB, CAROL, 'join'),
    allowed: false,
  },
  { title: 'uninvited join', in: ALL_VERSIONS, event: memberFields(CAROL, CAROL, 'join'), allowed: false },
  ...PLAIN.map((membership) => ({
    title: `join after ${membership}`,
    in: ALL_VERSIONS,
    before: { [CAROL]: membership },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: true,
  })),
  {
    title: 'unknown join rule',
    in: ALL_VERSIONS,
    joinRule: 'private',
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: false,
  },
  {
    title: 'join rule of a wrong type (A10)',
    in: ALL_VERSIONS,
    joinRule: ['public'],
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: false,
  },
  {
    title: 'invited join under knock, before knocking',
    in: versions(1, 6),
    joinRule: 'knock',
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: false,
  },
  {
    title: 'invited join under knock',
    in: versions(7),
    joinRule: 'knock',
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: true,
  },
  {
    title: 'invited join under restricted, before it',
    in: versions(1, 7),
    joinRule: 'restricted',
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: false,
  },
  {
    title: 'invited join under restricted',
    in: versions(8),
    joinRule: 'restricted',
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: true,
  },
  {
    title: 'invited join under knock_restricted, before it',
    in: versions(1, 9),
    joinRule: 'knock_restricted',
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: false,
  },
  {
    title: 'invited join under knock_restricted',
    in: versions(10),
    joinRule: 'knock_restricted',
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: true,
  },
  {
    title: 'unvouched restricted join',
    in: ALL_VERSIONS,
    joinRule: 'restricted',
    event: memberFields(CAROL, CAROL, 'join'),
    allowed: false,
  },
  { title: 'invite', in: ALL_VERSIONS, event: memberFields(BOB, CAROL, 'invite'), allowed: true },
  {
    title: 'invite from outside',
    in: ALL_VERSIONS,
    before: { [BOB]: 'leave' },
    event: memberFields(BOB, CAROL, 'invite'),
    allowed: false,
  },
  { title: 'invite of someone joined', in: ALL_VERSIONS, event: memberFields(BOB, ALICE, 'invite'), allowed: false },
  {
    title: 'invite of someone banned',
    in: ALL_VERSIONS,
    before: { [CAROL]: 'ban' },
    event: memberFields(BOB, CAROL, 'invite'),
    allowed: false,
  },
  { title: 'leave', in: ALL_VERSIONS, event: memberFields(BOB, BOB, 'leave'), allowed: true },
  {
    title: 'reject of an invite',
    in: ALL_VERSIONS,
    before: { [CAROL]: 'invite' },
    event: memberFields(CAROL, CAROL, 'leave'),
    allowed: true,
  },
  {
    title: 'leave of someone banned',
    in: ALL_VERSIONS,
    before: { [CAROL]: 'ban' },
    event: memberFields(CAROL, CAROL, 'leave'),
    allowed: false,
  },
  { title: 'leave of someone outside', in: ALL_VERSIONS, event: memberFields(CAROL, CAROL, 'leave'), allowed: false },
  {
    title: 'knock withdrawn',
    in: versions(7),
    before: { [CAROL]: 'knock' },
    event: memberFields(CAROL, CAROL, 'leave'),
    allowed: true,
  },
  {
    title: 'knock withdrawn, before knocking',
    in: versions(1, 6),
    before: { [CAROL]: 'knock' },
    event: memberFields(CAROL, CAROL, 'leave'),
    allowed: false,
  },
  { title: 'kick', in: ALL_VERSIONS, event: memberFields(ALICE, BOB, 'leave'), allowed: true },
  { title: 'kick from below', in: ALL_VERSIONS, event: memberFields(BOB, ALICE, 'leave'), allowed: false },
  { title: 'kick of the creator', in: ALL_VERSIONS, event: memberFields(ALICE, CREATOR, 'leave'), allowed: false },
  {
    title: 'unban',
    in: ALL_VERSIONS,
    before: { [CAROL]: 'ban' },
    event: memberFields(ALICE, CAROL, 'leave'),
    allowed: true,
  },
  {
    title: 'unban from below',
    in: ALL_VERSIONS,
    before: { [CAROL]: 'ban' },
    event: memberFields(BOB, CAROL, 'leave'),
    allowed: false,
  },
  { title: 'ban', in: ALL_VERSIONS, event: memberFields(ALICE, CAROL, 'ban'), allowed: true },
  {
    title: 'ban from outside',
    in: ALL_VERSIONS,
    before: { [ALICE]: 'leave' },
    event: memberFields(ALICE, CAROL, 'ban'),
    allowed: false,
  },
  { title: 'ban from below', in: ALL_VERSIONS, event: memberFields(BOB, CAROL, 'ban'), allowed: false },
  { title: 'ban of an equal', in: ALL_VERSIONS, event: memberFields(ALICE, ALICE, 'ban'), allowed: false },
  { title: 'knock', in: versions(7), joinRule: 'knock', event: memberFields(CAROL, CAROL, 'knock'), allowed: true },
  {
    title: 'knock, before knocking',
    in: versions(1, 6),
    joinRule: 'knock',
    event: memberFields(CAROL, CAROL, 'knock'),
    allowed: false,
  },
  {
    title: 'knock under knock_restricted',
    in: versions(10),
    joinRule: 'knock_restricted',
    event: memberFields(CAROL, CAROL, 'knock'),
    allowed: true,
  },
  {
    title: 'knock under knock_restricted, before it',
    in: versions(7, 9),
    joinRule: 'knock_restricted',
    event: memberFields(CAROL, CAROL, 'knock'),
    allowed: false,
  },
  {
    title: 'knock for another',
    in: ALL_VERSIONS,
    joinRule: 'knock',
    event: memberFields(BOB, CAROL, 'knock'),
    allowed: false,
  },
  ...['ban', ...PLAIN].map((membership) => ({
    title: `knock after ${membership}`,
    in: ALL_VERSIONS,
    joinRule: 'knock',
    before: { [CAROL]: membership },
    event: memberFields(CAROL, CAROL, 'knock'),
    allowed: false,
  })),
  { title: 'unknown membership', in: ALL_VERSIONS, event: memberFields(BOB, BOB, 'dance'), allowed: false },
  ...[null, 5, ['join'], { join: true }].map((membership) => ({
    title: `membership ${JSON.stringify(membership)} (A10)`,
    in: ALL_VERSIONS,
    joinRule: 'public',
    event: memberFields(CAROL, CAROL, membership),
    allowed: false,
  })),
  {
    title: 'no membership',
    in: ALL_VERSIONS,
    event: { type: 'm.room.member', sender: BOB, stateKey: BOB },
    allowed: false,
  },
  {
    title: 'no state key',
    in: ALL_VERSIONS,
    event: { type: 'm.room.member', sender: BOB, content: { membership: 'leave' } },
    allowed: false,
  },
];

test('every change of membership is judged as its room version says', () => {
  for (const { title, in: inVersions, joinRule, before, event, allowed } of memberCases) {
    for (const version of inVersions) {
      const room = populatedRoom(version);
      if (joinRule !== undefined) room.put('m.room.join_rules', '', { join_rule: joinRule });
      for (const [userId, membership] of Object.entries(before ?? {})) room.member(userId, membership);

      assert.equal(verdictOf(room, event), allowed, `${title}, room version ${version}`);
    }
  }
});

test('a restricted join needs a signature and a joined user with the invite level (B10)', () => {
  for (const version of versions(8)) {
    const room = populatedRoom(version, { invite: 50 });
    room.put('m.room.join_rules', '', { join_rule: 'restricted' });
    const join = (authorising: JsonValue, hasSigned = true) =>
      verdictOf(room, memberFields(CAROL, CAROL, 'join', { join_authorised_via_users_server: authorising }), {
        hasAuthorisingSignature: () => hasSigned,
      });

    assert.equal(join(ALICE), true);
    assert.equal(join(ALICE, false), false, 'unsigned');
    assert.equal(join(BOB), false, 'below the invite level');
    assert.equal(join('@nobody:b.example'), false, 'not in the room');
    assert.equal(join(5), false, 'not a user ID');
    assert.equal(join(null), false, 'null');
    // A signature that is asked for and missing rejects even someone invited.
    room.member(CAROL, 'invite', ALICE);
    assert.equal(join(ALICE, false), false);
  }
});

test('a third-party invite needs a good signature under a key of the offer (B12)', () => {
  const key = signingKeyFromSeed('0', new Uint8Array(32).fill(7));
  const stranger = signingKeyFromSeed('0', new Uint8Array(32).fill(8));
  const signed = signJson({ mxid: CAROL, token: 'tok', sender: BOB }, 'id.example', key);
  const invite = (thing: JsonValue, sender = BOB) =>
    memberFields(sender, CAROL, 'invite', { third_party_invite: { display_name: 'c', signed: thing } });
  for (const version of ALL_VERSIONS) {
    for (const offer of [
      { public_key: key.publicKey },
      { public_key: 'x', public_keys: [{ public_key: key.publicKey }] },
    ]) {
      const room = populatedRoom(version);
      room.put('m.room.third_party_invite', 'tok', offer, BOB);

      assert.equal(verdictOf(room, invite(signed)), true);
      assert.equal(verdictOf(room, invite(signed, ALICE)), false, 'offer of another user');
      assert.equal(verdictOf(room, invite({ ...signed, mxid: ALICE })), false, 'for another user');
      assert.equal(verdictOf(room, invite({ ...signed, token: 'other' })), false, 'unknown token');
      assert.equal(verdictOf(room, invite({ ...signed, added: 1 })), false, 'changed after signing');
      assert.equal(verdictOf(room, invite(signJson({ mxid: CAROL, token: 'tok' }, 'id.example', stranger))), false);
      for (const thing of [null, [], 'signed', {}, { mxid: CAROL }, { mxid: CAROL, token: 'tok', signatures: null }]) {
        assert.equal(verdictOf(room, invite(thing)), false, JSON.stringify(thing));
      }
      room.member(CAROL, 'ban', CREATOR);
      assert.equal(verdictOf(room, invite(signed)), false, 'banned');
    }
  }
});

test('no more than a hundred signatures of a third-party invite are tried', () => {
  const key = signingKeyFromSeed('0', new Uint8Array(32).fill(7));
  const room = populatedRoom('11');
  room.put('m.room.third_party_invite', 'tok', { public_key: key.publicKey }, BOB);
  const signed = { mxid: CAROL, token: 'tok' };
  const good = key.sign(canonicalJson(signed, { strict: true }));
  const bad = key.sign('something else');
  const inviteWith = (badCount: number) => {
    const signatures: Record<string, JsonObject> = {};
    for (let n = 0; n < badCount; n++) signatures[`s${n}`] = { 'ed25519:0': bad };
    signatures['last'] = { 'ed25519:0': good };
    return memberFields(BOB, CAROL, 'invite', { third_party_invite: { signed: { ...signed, signatures } } });
  };

  assert.equal(verdictOf(room, inviteWith(99)), true);
  assert.equal(verdictOf(room, inviteWith(100)), false);
});

test('only those in the room send, with the level that the type needs', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version, { events: { 'm.low': 0, 'm.high': 75 }, invite: 50 });
    const send = (sender: string, type: string, stateKey?: string) =>
      verdictOf(room, { type, sender, ...(stateKey === undefined ? {} : { stateKey }) });

    assert.equal(send(BOB, 'm.room.message'), true);
    assert.equal(send(CAROL, 'm.room.message'), false, 'outside');
    assert.equal(send(BOB, 'm.room.topic', ''), false, 'state default');
    assert.equal(send(ALICE, 'm.room.topic', ''), true);
    assert.equal(send(BOB, 'm.low', ''), true);
    assert.equal(send(ALICE, 'm.high'), false);
    assert.equal(send(CREATOR, 'm.high'), true);
    assert.equal(send(ALICE, 'm.own', ALICE), true);
    assert.equal(send(ALICE, 'm.own', BOB), false, 'state key of another user');
    assert.equal(send(ALICE, 'm.room.third_party_invite', 'tok'), true);
    assert.equal(send(BOB, 'm.room.third_party_invite', 'tok'), false);
  }
});

test('without power levels the creator alone has power', () => {
  for (const version of ALL_VERSIONS) {
    const room = roomFixture(version);
    room.member(ALICE, 'join');

    assert.equal(verdictOf(room, { type: 'm.room.name', sender: CREATOR, stateKey: '' }), true, version);
    assert.equal(verdictOf(room, { type: 'm.room.name', sender: ALICE, stateKey: '' }), false, version);
    assert.equal(verdictOf(room, { type: 'm.room.message', sender: ALICE }), true, version);
  }
});

/** Whether the creator may send that content as the first power levels event. */
function isFirstAccepted(version: string, content: JsonObject): boolean {
  const room = roomFixture(version);
  return verdictOf(room, { type: 'm.room.power_levels', sender: CREATOR, stateKey: '', content });
}

test('the forms of power levels are judged by room version (B7, A10)', () => {
  const raw = (text: string) => parseJson(text, { keepNumberText: true });
  for (const version of ALL_VERSIONS) {
    const number = Number(version);
    const values: [JsonValue, boolean][] = [
      [50, true],
      [-7, true],
      ['50', number <= 9],
      [' +050 ', number <= 9],
      ['fifty', false],
      ['', false],
      [raw('50.57'), number <= 5],
      [raw('5.0'), number <= 5],
      [raw('1e400'), false],
      ['9'.repeat(400), false],
      [null, false],
      [true, false],
      [[50], false],
      [{ level: 50 }, false],
    ];
    for (const [value, isAllowed] of values) {
      const title = `${canonicalJson(value, { strict: false })} in room version ${version}`;
      assert.equal(isFirstAccepted(version, { ban: value }), isAllowed, `ban ${title}`);
      assert.equal(isFirstAccepted(version, { users: { [BOB]: value } }), isAllowed, `users ${title}`);
      assert.equal(isFirstAccepted(version, { events: { 'm.x': value } }), isAllowed, `events ${title}`);
      const isNotificationAllowed = isAllowed || number <= 9;
      assert.equal(
        isFirstAccepted(version, { notifications: { room: value } }),
        isNotificationAllowed,
        `room ${title}`,
      );
    }
    for (const users of [null, [], 'x', 5]) assert.equal(isFirstAccepted(version, { users }), false);
    for (const userId of ['bob', '@bob', '', '__proto__']) {
      assert.equal(isFirstAccepted(version, parseJson(`{"users":{"${userId}":1}}`) as JsonObject), false, userId);
    }
  }
});

test('nobody gives or takes power that they lack (B7)', () => {
  const before: JsonObject = {
    users_default: 10,
    ban: 60,
    events: { 'm.high': 75, 'm.low': 5 },
    notifications: { room: 75 },
  };
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const old: JsonObject = { users: { [ALICE]: 50, [BOB]: 50, [CAROL]: 20 }, ...before };
    room.put('m.room.power_levels', '', old);
    const change = (content: JsonObject, users?: JsonObject) =>
      verdictOf(room, {
        type: 'm.room.power_levels',
        sender: ALICE,
        stateKey: '',
        content: { ...old, ...content, ...(users === undefined ? {} : { users }) },
      });
    const title = `room version ${version}`;

    assert.equal(change({}), true, title);
    assert.equal(change({ users_default: 50 }), true);
    assert.equal(change({ users_default: 51 }), false);
    assert.equal(change({ ban: 10 }), false, 'the old value is too great');
    assert.equal(change({ kick: 50 }), true, 'added');
    assert.equal(change({ events: { 'm.high': 75 } }), true, 'a low one removed');
    assert.equal(change({ events: { 'm.low': 5 } }), false, 'a high one removed');
    assert.equal(change({ events: { ...(old['events'] as JsonObject), 'm.new': 60 } }), false);
    // Notification levels are guarded from version 6 on.
    assert.equal(change({ notifications: { room: 0 } }), Number(version) < 6, title);
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 50, [CAROL]: 50 }), true, 'raised to the own level');
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 50, [CAROL]: 51 }), false);
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 50 }), true, 'a lower one removed');
    assert.equal(change({}, { [ALICE]: 50, [BOB]: 0, [CAROL]: 20 }), false, 'an equal lowered');
    assert.equal(change({}, { [ALICE]: 50, [CAROL]: 20 }), false, 'an equal removed');
    assert.equal(change({}, { [ALICE]: 0, [BOB]: 50, [CAROL]: 20 }), true, 'oneself lowered');
    assert.equal(change({}, { [ALICE]: 100, [BOB]: 50, [CAROL]: 20 }), false, 'oneself raised');
  }
});

test('redactions have an auth rule in versions 1 and 2 and are judged apart later', () => {
  for (const version of ALL_VERSIONS) {
    const room = populatedRoom(version);
    const { rules } = room;
    const target = room.event({ type: 'm.room.message', sender: BOB });
    const redaction = (sender: string) =>
      room.event({
        type: 'm.room.redaction',
        sender,
        content: rules.redactsIn === 'content' ? { redacts: target.eventId } : {},
        extra: rules.redactsIn === 'content' ? {} : { redacts: target.eventId },
      });
    room.member(CAROL, 'join');
    const has = (sender: string) => {
      const pdu = redaction(sender);
      return checkAuth(rules, pdu, room.lookup).allowed && mayRedact(rules, pdu, target, room.lookup);
    };

    assert.equal(has(ALICE), true, 'by level');
    if (rules.hasRedactionAuthRule) {
      // There the servers compared are those of the event IDs, which the fixture makes all of one server.
      assert.equal(has(CAROL), true);
    } else {
      assert.equal(has(BOB), true, 'by the sender');
      assert.equal(has('@other:b.example'), false, 'of the same server but outside the room');
      assert.equal(has(CAROL), false, 'by another server');
      assert.equal(mayRedact(rules, redaction(ALICE), room.event({ type: 'm.x', sender: BOB }), room.lookup), false);
    }
  }
});
