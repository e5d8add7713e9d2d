import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ALICE,
  ALL_VERSIONS,
  BOB,
  CAROL,
  CREATOR,
  type EventFields,
  isAllowedIn,
  memberFields,
  populatedRoom,
  versions,
} from '../../test/support/room-fixture.ts';
import { canonicalJson } from './json.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import { signingKeyFromSeed, signJson } from './signing.ts';

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

      assert.equal(isAllowedIn(room, event), allowed, `${title}, room version ${version}`);
    }
  }
});

test('a restricted join needs a signature and a joined user with the invite level (B10)', () => {
  for (const version of versions(8)) {
    const room = populatedRoom(version, { invite: 50 });
    room.put('m.room.join_rules', '', { join_rule: 'restricted' });
    const join = (authorising: JsonValue, hasSigned = true) =>
      isAllowedIn(room, memberFields(CAROL, CAROL, 'join', { join_authorised_via_users_server: authorising }), {
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

      assert.equal(isAllowedIn(room, invite(signed)), true);
      assert.equal(isAllowedIn(room, invite(signed, ALICE)), false, 'offer of another user');
      assert.equal(isAllowedIn(room, invite({ ...signed, mxid: ALICE })), false, 'for another user');
      assert.equal(isAllowedIn(room, invite({ ...signed, token: 'other' })), false, 'unknown token');
      assert.equal(isAllowedIn(room, invite({ ...signed, added: 1 })), false, 'changed after signing');
      assert.equal(isAllowedIn(room, invite(signJson({ mxid: CAROL, token: 'tok' }, 'id.example', stranger))), false);
      for (const thing of [null, [], 'signed', {}, { mxid: CAROL }, { mxid: CAROL, token: 'tok', signatures: null }]) {
        assert.equal(isAllowedIn(room, invite(thing)), false, JSON.stringify(thing));
      }
      room.member(CAROL, 'ban', CREATOR);
      assert.equal(isAllowedIn(room, invite(signed)), false, 'banned');
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

  assert.equal(isAllowedIn(room, inviteWith(99)), true);
  assert.equal(isAllowedIn(room, inviteWith(100)), false);
});
