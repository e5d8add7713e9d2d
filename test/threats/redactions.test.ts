/** What redaction leaves of events of other servers, room version by room version: against a table of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../src/core/json-value.ts';
import { findRoomRules, type RoomVersion } from '../../src/core/room-versions.ts';
import { verifyEventSignature } from '../../src/core/signing.ts';
import { handClock } from '../../src/kit/clock.ts';
import { remoteServer } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import { testServer } from '../../src/testing/test-server.ts';
import { playedRoom } from '../support/played-room.ts';

const VERSIONS: readonly RoomVersion[] = ['1', '4', '5', '6', '7', '8', '9', '10', '11', '12'];

type Row = {
  readonly type: string;
  readonly content: JsonObject;
  /** What is left from which version on; the last one that is reached counts. Nothing before the first. */
  readonly left: readonly (readonly [from: number, left: JsonObject])[];
};

/** Whoever is no creator cannot take this away. */
const events = { 'm.room.tombstone': 150 };
const named = { ban: 50, events_default: 0, kick: 50, redact: 50, state_default: 50, users_default: 0 };

const rowsFor = (version: RoomVersion, alice: string, bob: string): readonly Row[] => {
  const users = { ...(version === '12' ? {} : { [alice]: 100 }), [bob]: 100 };
  const levels = { ...named, users, events: version === '12' ? events : {} };
  const condition = { type: 'm.room_membership', room_id: '!x:remote.test' };
  const joinRule = { join_rule: 'public' };
  const member = { membership: 'join' };
  const vouched = { ...member, join_authorised_via_users_server: bob };
  const signed = { mxid: bob, token: 'x', signatures: {} };
  return [
    { type: 'm.room.message', content: { msgtype: 'm.text', body: 'x' }, left: [[1, {}]] },
    { type: 'm.room.topic', content: { topic: 'x' }, left: [[1, {}]] },
    {
      type: 'm.room.history_visibility',
      content: { history_visibility: 'shared', more: 1 },
      left: [[1, { history_visibility: 'shared' }]],
    },
    {
      type: 'm.room.aliases',
      content: { aliases: ['#x:remote.test'], more: 1 },
      left: [
        [1, { aliases: ['#x:remote.test'] }],
        [6, {}],
      ],
    },
    {
      type: 'm.room.join_rules',
      content: { ...joinRule, allow: [condition], more: 1 },
      left: [
        [1, joinRule],
        [8, { ...joinRule, allow: [condition] }],
      ],
    },
    {
      type: 'm.room.member',
      content: { ...vouched, displayname: 'B', third_party_invite: { display_name: 'x', signed } },
      left: [
        [1, member],
        [9, vouched],
        [11, { ...vouched, third_party_invite: { signed } }],
      ],
    },
    {
      type: 'm.room.power_levels',
      content: { ...levels, invite: 10, notifications: { room: 20 }, more: 1 },
      left: [
        [1, levels],
        [11, { ...levels, invite: 10 }],
      ],
    },
  ];
};

for (const version of VERSIONS) {
  test(`B11: of a redacted event of another server in a room of version ${version} only what must stay is left`, async (t) => {
    const server = await testServer(t, { clock: handClock() });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const [bob, rules] = [remote.userId('bob'), findRoomRules(version)!];
    const users = { ...(version === '12' ? {} : { [alice.userId]: 100 }), [bob]: 100 };
    const content = { power_level_content_override: { users } };
    const { room, played } = await playedRoom(remote, alice, { version, content });

    for (const { type, content: said, left } of rowsFor(version, alice.userId, bob)) {
      const stateKeys: Record<string, string> = { 'm.room.member': bob, 'm.room.aliases': remote.serverName };
      const stateKey = type === 'm.room.message' ? null : (stateKeys[type] ?? '');
      const event = played.build({ type, stateKey, content: said });
      const taken = await played.send([event]);
      assert.deepEqual(taken, { [event.eventId]: {} }, type);
      succeeded(await alice.put(roomPath(room, 'redact', event.eventId, alice.transactionId())));

      const expected = left.findLast(([from]) => Number(version) >= from)![1];
      const served = await remote.signedRequest(
        'GET',
        `/_matrix/federation/v1/event/${encodeURIComponent(event.eventId)}`,
      );
      const [pdu] = succeeded(served).pdus;
      const seen = succeeded(await alice.get(roomPath(room, 'event', event.eventId)));
      assert.deepEqual(pdu.content, expected, `${type}, as other servers get it`);
      assert.deepEqual(seen.content, expected, `${type}, as users get it`);
      assert.ok(
        verifyEventSignature(rules, pdu, remote.serverName, remote.signingKey.keyId, remote.signingKey.publicKey),
        `${type}: its signature is good still`,
      );
      await played.look(alice);
    }
    const create = succeeded(await alice.get(roomPath(room, 'state', 'm.room.create')));
    assert.equal(create.room_version, version);
    assert.ok(await alice.say(room, 'the room goes on'));
  });
}
