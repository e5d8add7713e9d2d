/** Section B: ways into rooms, and ways to make others sign. */
import assert from 'node:assert/strict';
import type { JsonObject, JsonValue } from '../../src/core/json-value.ts';
import { findRoomRules } from '../../src/core/room-versions.ts';
import { signingKeyFromSeed, signJson } from '../../src/core/signing.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import { fill, hand, make, V2 } from '../support/handshakes.ts';
import { PlayedRoom } from '../support/played-room.ts';
import type { Attack, Scene } from './attack.ts';
import { id, refusal, stateOf, V1 } from './wire.ts';

/** Templates of joins, knocks and leaves that carry something else. */
async function poisonedTemplates(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const changes: readonly JsonObject[] = [
    { type: 'm.room.power_levels', state_key: '', content: { users: { [evil.userId('mallory')]: 100 } } },
    { type: 'm.room.message' },
    { state_key: '@admin:myelin.test' },
    { sender: '@admin:myelin.test' },
    { room_id: `!other:${evil.serverName}` },
    { content: { membership: 'ban' } },
    { content: { membership: 'join', join_authorised_via_users_server: '@admin:myelin.test' } },
    { prev_events: [] },
    { auth_events: 'x' },
    { depth: 1.5 },
  ];
  const wishes = [
    { make: 'make_join', send: 'send_join', path: 'join' },
    { make: 'make_knock', send: 'send_knock', path: 'knock' },
  ] as const;
  let refused = 0;
  for (const wish of wishes) {
    const far = scene.farRoom({ joinRules: { join_rule: wish.path === 'knock' ? 'knock' : 'public' } });
    for (const change of changes) {
      far.spoils.set(wish.make, async ({ event, ...rest }) => {
        if (refused === 0) await scene.meanwhile();
        return { json: { ...rest, event: { ...(event as JsonObject), ...change } } };
      });
      const reply = await alice.post(`/v3/${wish.path}/${id(far.roomId)}?via=${evil.serverName}`);
      assert.equal(reply.status, 502, JSON.stringify(change));
      refused++;
    }
    assert.deepEqual(far.requests(wish.send), [], 'nothing was signed');
  }
  const far = scene.farRoom();
  const more = { displayname: 'x', 'm.power': 100, third_party_invite: {} };
  far.spoils.set('make_join', ({ event, ...rest }) => {
    const content = { membership: 'join', ...more };
    return { json: { ...rest, event: { ...(event as JsonObject), content, 'm.extra': 1 } } };
  });
  succeeded(await alice.post(`/v3/join/${id(far.roomId)}?via=${evil.serverName}`));
  const [join] = far.received;
  assert.deepEqual(Object.keys(join!['content'] as JsonObject).sort(), ['displayname', 'membership']);
  assert.equal(join!['m.extra'], undefined);
  far.spoils.set('make_leave', ({ event, ...rest }) => ({
    json: { ...rest, event: { ...(event as JsonObject), type: 'm.room.name', state_key: '', content: { name: 'x' } } },
  }));
  await scene.assertUsable(far.roomId);
  return `${refused} templates: 502, nothing signed; of a good one's content nothing is taken`;
}

/** An access list that keeps the server out: by itself, by EDUs, through another server, with ten thousand entries. */
async function keptOut(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const { room, played } = await scene.room();
  const friend = await scene.another('friend');
  const relay = new PlayedRoom(friend, room.id, played.version);
  await scene.meanwhile();
  await relay.look(alice);
  await relay.join();
  const deny = Array.from({ length: 2500 }, (_, n) => `*.*${n}*.x`);
  await alice.setState(room, 'm.room.server_acl', {
    allow: ['*'],
    deny: [...deny, evil.serverName.toUpperCase(), '*.*.*.*.*.*.*.*.*.*.*.*x'],
    allow_ip_literals: false,
  });
  const said = played.say('let me in', { prevEvents: relay.tips });
  const typing = { edu_type: 'm.typing', content: { room_id: room.id, user_id: played.bob, typing: true } };
  const [, read] = [await alice.say(room, 'read me'), await alice.say(room, 'or me')];
  const receipt = {
    edu_type: 'm.receipt',
    content: { [room.id]: { 'm.read': { [played.bob]: { event_ids: [read], data: { ts: 1 } } } } },
  };

  const own = scene.verdicts(await played.push([said], { edus: [typing, receipt] }));
  const relayed = scene.verdicts(await relay.push([said]));
  const doors = [
    await evil.signedRequest('GET', `${V1}/state/${id(room.id)}?event_id=${id(read!)}`),
    await evil.signedRequest('GET', `${V1}/event_auth/${id(room.id)}/${id(read!)}`),
    await evil.signedRequest('GET', `${V1}/backfill/${id(room.id)}?v=${id(read!)}&limit=5`),
    await make(evil, 'join', room.id, evil.userId('carol')),
    await make(evil, 'leave', room.id, played.bob),
    await make(evil, 'knock', room.id, evil.userId('carol')),
  ];

  assert.match(own[said.eventId]!.error!, /access control/);
  assert.match(relayed[said.eventId]!.error!, /access control/);
  assert.deepEqual(doors.map(refusal), Array(doors.length).fill('403 M_FORBIDDEN'));
  const { ephemeral } = (await alice.sync()).rooms.join[room.id];
  assert.ok(!JSON.stringify(ephemeral).includes(played.bob));
  assert.equal(await scene.storedCount([said.eventId]), 0);
  const honest = relay.say('I may', { prevEvents: [read!], depth: 200 });
  assert.deepEqual(scene.verdicts(await relay.push([honest])), { [honest.eventId]: {} });
  await scene.assertUsable(room);
  return `events refused, by itself and relayed; EDUs dropped; ${doors.length} doors 403 M_FORBIDDEN; others go on`;
}

/** Restricted joins that nobody, or the wrong one, vouches for. */
async function forgedVouchers(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const { room } = await scene.room();
  const allow = [{ type: 'm.room_membership', room_id: room.id }];
  const restricted = await alice.createRoom({
    preset: 'private_chat',
    room_version: '11',
    initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'restricted', allow } }],
  });
  const [bob, eve] = [evil.userId('bob'), evil.userId('eve')];
  const template = succeeded(await make(evil, 'join', restricted.id, bob)).event;
  const vouchedBy = (userId: string | null) => {
    const vouching = userId === null ? {} : { join_authorised_via_users_server: userId };
    return fill(evil, '11', template, { content: { membership: 'join', ...vouching } });
  };
  const by = [null, '@nobody:myelin.test', eve, '@x:elsewhere.test', 'no user'];
  const statuses: string[] = [];
  for (const userId of by) statuses.push(refusal(await hand(evil, 'join', restricted.id, vouchedBy(userId))));
  // By a transaction, without the signature of who vouches.
  const pushed = vouchedBy(alice.userId);
  const played = new PlayedRoom(evil, restricted.id, '11');
  const verdicts = scene.verdicts(await played.push([pushed]));
  const outside = await make(evil, 'join', restricted.id, eve);
  // Stale: put out of the room that opens this one, between template and join.
  const good = fill(evil, '11', template);
  succeeded(await alice.post(roomPath(room, 'kick'), { user_id: bob }));
  const stale = await hand(evil, 'join', restricted.id, good);

  assert.ok(
    statuses.every((status) => /^40[03] M_(?:FORBIDDEN|INVALID_PARAM|UNABLE_TO_GRANT_JOIN)$/.test(status)),
    statuses.join(', '),
  );
  assert.match(verdicts[pushed.eventId]?.error ?? 'nameless', /\S/);
  assert.equal(refusal(outside), '403 M_FORBIDDEN');
  assert.equal(refusal(stale), '403 M_FORBIDDEN');
  assert.equal(await stateOf(alice, restricted, 'm.room.member', bob), null);
  await scene.assertUsable(restricted);
  return `${statuses.join(', ')}; pushed without a signature: refused; stale: 403 M_FORBIDDEN`;
}

/** Proofs of third-party invites: forged, of another token, for another user, used again. */
async function forgedProofs(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const room = await alice.createRoom({ preset: 'private_chat', room_version: '11' });
  const key = signingKeyFromSeed('0', Buffer.alloc(32, 5));
  const token = 'abc123';
  await alice.setState(
    room,
    'm.room.third_party_invite',
    { display_name: 'b...', key_validity_url: `${evil.url}/valid`, public_key: key.publicKey },
    token,
  );
  evil.route('PUT', /\/v2\/invite\//, ({ body }) => {
    const { event } = body as { event: JsonObject };
    return { json: { event: evil.signEvent(findRoomRules('11')!, event) } };
  });
  const [bob, eve] = [evil.userId('bob'), evil.userId('eve')];
  const proof = (mxid: string, of = token, by = key) => signJson({ mxid, token: of }, 'identity.test', by);
  const exchange = (signed: JsonObject, changes: JsonObject = {}) =>
    evil.signedRequest('PUT', `${V1}/exchange_third_party_invite/${id(room.id)}`, {
      type: 'm.room.member',
      room_id: room.id,
      sender: alice.userId,
      state_key: bob,
      content: { membership: 'invite', third_party_invite: { display_name: 'b', signed } },
      ...changes,
    });
  const forged = [
    await exchange(proof(bob, token, signingKeyFromSeed('0', Buffer.alloc(32, 6)))),
    await exchange(proof(bob, 'another')),
    await exchange({ ...proof(bob), signatures: {} }),
    await exchange(proof(eve)),
    await exchange(proof(bob), { state_key: alice.userId }),
    await exchange(proof(bob), { sender: eve }),
  ].map(refusal);
  // The key is asked about at the place that the invite names, which may say no, or anything.
  const saysOfKey = (json: JsonObject): void => evil.route('GET', /^\/valid$/, () => ({ json }));
  saysOfKey({ valid: false });
  const revoked = refusal(await exchange(proof(bob)));
  saysOfKey({ valid: 'perhaps' });
  const unsure = refusal(await exchange(proof(bob)));
  saysOfKey({ valid: true });
  const good = await exchange(proof(bob));
  succeeded(await alice.post(roomPath(room, 'kick'), { user_id: bob }));
  const replayed = await exchange(proof(bob));

  assert.ok(
    forged.every((said) => said === '403 M_FORBIDDEN' || said === '400 M_INVALID_PARAM'),
    forged.join(', '),
  );
  assert.equal(good.status, 200);
  assert.equal(refusal(replayed), '403 M_FORBIDDEN');
  assert.equal((await stateOf(alice, room, 'm.room.member', bob))?.['membership'], 'leave');
  assert.deepEqual([revoked, unsure], ['403 M_FORBIDDEN', '502 M_UNKNOWN']);
  await scene.assertUsable(room);
  return `${forged.length} forged ones: ${[...new Set(forged)].join(', ')}; a key that is valid no more: 403 M_FORBIDDEN; a good proof once, then 403 M_FORBIDDEN`;
}

/** Invites with too much state, foreign state, no create event, into other rooms, of others' users. */
async function heavyInvites(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const far = scene.farRoom({ version: '12' });
  scene.clock.advance(1);
  const other = scene.farRoom({ version: '12' });
  const invite = far.build('m.room.member', alice.userId, { membership: 'invite' });
  const [create] = far.told().state;
  const name = far.add('m.room.name', '', { name: 'Far away' }).json;
  const send = (state: JsonValue, event = invite, roomId: string = far.roomId) =>
    evil.signedRequest('PUT', `${V2}/invite/${id(roomId)}/${id(event.eventId)}`, {
      event: event.json,
      room_version: '12',
      invite_room_state: state,
    });
  const bloated = { ...name, content: { name: 'x'.repeat(60_000) } };
  const replies = {
    'more than 100 events': await send([create!, ...Array.from({ length: 100 }, () => name)]),
    'more than 256 KiB': await send([create!, bloated, bloated, bloated, bloated, bloated]),
    'without a create event': await send([name]),
    'of another room': await send([create!, ...other.told().state]),
    'stripped to the bone': await send([create!, { type: 'm.room.name', state_key: '', content: {}, sender: 'x' }]),
    'in another room’s name': await send([create!], invite, other.roomId),
    'of somebody else': await send([create!], far.build('m.room.member', evil.userId('eve'), { membership: 'invite' })),
  };
  const said = Object.entries(replies).map(([what, reply]) => {
    assert.ok(reply.status === 400 || reply.status === 413, `${what}: ${refusal(reply)}`);
    return `${what} ${reply.status}`;
  });

  assert.deepEqual(Object.keys((await alice.sync()).rooms?.invite ?? {}), []);
  assert.equal(await scene.storedCount([invite.eventId]), 0);
  const good = await send([create!, name]);
  assert.equal(good.status, 200);
  assert.deepEqual(Object.keys((await alice.sync()).rooms.invite), [far.roomId]);
  return `${said.join(', ')}; nothing stored; a good one comes in`;
}

export const MEMBERSHIP_ATTACKS: readonly Attack[] = [
  { line: 'B1', name: 'templates that carry something else', run: poisonedTemplates },
  { line: 'B9', name: 'around the access list', run: keptOut },
  { line: 'B10', name: 'restricted joins with forged vouchers', run: forgedVouchers },
  { line: 'B12', name: 'forged third-party invites', run: forgedProofs },
  { line: 'B14', name: 'invites with too much state', run: heavyInvites },
];
