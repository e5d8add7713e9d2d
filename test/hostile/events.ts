/** Section A: events that are no events, or not the ones they seem to be. */
import assert from 'node:assert/strict';
import type { JsonObject, JsonValue } from '../../src/core/json-value.ts';
import { succeeded } from '../../src/testing/test-client.ts';
import { enter, fill, hand, make } from '../support/handshakes.ts';
import type { Attack, Scene } from './attack.ts';
import { bringThroughAllDoors } from './doors.ts';
import { id, refusal, saidIn, sendText, signedAnew, stateOf, transactionText, V1 } from './wire.ts';

/** Numbers that canonical JSON does not have, in each part of an event. */
async function oddNumbers(scene: Scene): Promise<string> {
  const { evil } = scene;
  const { room, played } = await scene.room();
  const good = played.say('good');
  const { json } = played.say('odd');
  const places: Record<string, JsonObject> = {
    content: { content: { n: 777777 } },
    'deep in content': { content: { list: [{ of: [777777] }] } },
    depth: { depth: 777777 },
    origin_server_ts: { origin_server_ts: 777777 },
    prev_events: { prev_events: [777777] },
    auth_events: { auth_events: [[777777]] },
    unsigned: { unsigned: { age: 777777 } },
  };
  const numbers = ['1.5', '-0.0', '1e3', '9007199254740992', '-9007199254740992', '1e400', '0.1e-7'];
  const texts: string[] = [];
  const ids: string[] = [];
  for (const change of Object.values(places)) {
    for (const number of numbers) {
      const odd = signedAnew(evil, played.version, json, change);
      ids.push(odd.eventId);
      texts.push(JSON.stringify(odd.json).replaceAll('777777', number));
    }
  }
  const goodText = JSON.stringify(good.json);
  const body = transactionText(evil, [777777]).replace('777777', [...texts.slice(0, 49), goodText].join(','));

  const verdicts = scene.verdicts(await sendText(evil, body));
  const noNumber = await sendText(evil, transactionText(evil, [777777]).replace('777777', '{"depth":NaN}'));

  const taken = Object.entries(verdicts).filter(([, { error }]) => error === undefined);
  assert.deepEqual(
    taken.map(([eventId]) => eventId),
    [good.eventId],
  );
  assert.equal(refusal(noNumber), '400 M_NOT_JSON');
  assert.equal(await scene.storedCount(ids), 0);
  assert.deepEqual(await saidIn(scene, room), ['good']);
  await scene.assertUsable(room);
  return `${texts.length} refused, none stored, the good one beside them taken; NaN: 400 M_NOT_JSON`;
}

/** Depths at the limit, beyond it, below zero, missing, and no numbers. */
async function oddDepths(scene: Scene): Promise<string> {
  const { evil, alice } = scene;
  const { room, played } = await scene.room();
  const greatest = played.say('greatest', { depth: Number.MAX_SAFE_INTEGER });
  const { json } = played.say('odd');
  const depths: JsonValue[] = [-1, 'deep', null, [1], {}, true];
  const odd = [
    ...depths.map((depth) => signedAnew(evil, played.version, json, { depth })),
    signedAnew(evil, played.version, json, {}, ['depth']),
  ];

  const verdicts = scene.verdicts(await played.push([greatest, ...odd.map((event) => event.json)]));

  assert.deepEqual(verdicts[greatest.eventId], {});
  for (const { eventId } of odd) assert.notDeepEqual(verdicts[eventId], {});
  const stored = odd.map(({ eventId }) => eventId).filter((eventId) => eventId !== greatest.eventId);
  assert.equal(await scene.storedCount(stored), 0);
  await alice.say(room, 'after it');
  assert.deepEqual(await saidIn(scene, room), ['greatest', 'after it'], 'the depth sorts nothing');
  await scene.assertUsable(room);
  return `${odd.length} refused; the greatest is taken, what follows stands on it and comes after it`;
}

/** Event IDs that a sender chose, or that are no IDs, as references and in paths. */
async function forgedIds(scene: Scene): Promise<string> {
  const { evil, alice } = scene;
  const { room, played } = await scene.room();
  const wish = `$${'w'.repeat(43)}`;
  const named = signedAnew(evil, '11', played.say('named').json, { event_id: wish });
  const { json } = played.say('refers');
  const references = ['../../etc/passwd', '\0', '$', `$${'x'.repeat(300)}`, '', `${room.id}`];
  const strange = references.map((reference) => signedAnew(evil, '11', json, { prev_events: [reference] }));
  const asked = evil.requests.length;

  const verdicts = scene.verdicts(await played.push([named.json, ...strange.map((event) => event.json)]));
  const { event } = succeeded(await make(evil, 'join', room.id, evil.userId('carol')));
  const join = fill(evil, '11', event);
  const renamed = await hand(evil, 'join', room.id, { ...join, eventId: wish });

  assert.equal(verdicts[wish], undefined, 'the ID is the one that we compute');
  assert.deepEqual(verdicts[named.eventId], {});
  for (const { eventId } of strange) assert.match(verdicts[eventId]?.error ?? 'nameless', /\S/);
  assert.equal(refusal(renamed), '400 M_INVALID_PARAM');
  assert.equal(await scene.storedCount([wish, join.eventId, ...strange.map(({ eventId }) => eventId)]), 0);
  assert.ok(
    !evil.requests.slice(asked).some(({ path }) => references.some((text) => text !== '' && path.includes(id(text)))),
    'what is no ID is asked of nobody',
  );
  assert.equal((await stateOf(alice, room, 'm.room.member', evil.userId('carol')))?.['membership'], undefined);
  await scene.assertUsable(room);
  return 'IDs are computed by us; references of another form are refused before a look-up; another ID in the path: 400 M_INVALID_PARAM';
}

/** Events of one room brought, and asked for, through another one. */
async function ofAnotherRoom(scene: Scene): Promise<string> {
  const { evil, alice } = scene;
  const { room, played } = await scene.room();
  const secret = await alice.createRoom({ preset: 'private_chat', room_version: '11' });
  const told = await alice.say(secret, 'between us');
  const carol = evil.userId('carol');
  const join = fill(evil, '11', succeeded(await make(evil, 'join', room.id, carol)).event);

  const asks = {
    event: await evil.signedRequest('GET', `${V1}/event/${id(told)}`),
    state: await evil.signedRequest('GET', `${V1}/state/${id(room.id)}?event_id=${id(told)}`),
    state_ids: await evil.signedRequest('GET', `${V1}/state_ids/${id(room.id)}?event_id=${id(told)}`),
    event_auth: await evil.signedRequest('GET', `${V1}/event_auth/${id(room.id)}/${id(told)}`),
    backfill: await evil.signedRequest('GET', `${V1}/backfill/${id(room.id)}?v=${id(told)}&limit=10`),
    get_missing_events: await evil.signedRequest('POST', `${V1}/get_missing_events/${id(room.id)}`, {
      earliest_events: [],
      latest_events: [told],
      limit: 20,
    }),
    send_join: await hand(evil, 'join', secret.id, join),
    send_leave: await hand(evil, 'leave', secret.id, join),
  };
  // It stands on what was said in the other room.
  const across = played.say('across', { prevEvents: [told] });
  const verdicts = scene.verdicts(await played.push([across]));

  const said = Object.entries(asks).map(([name, reply]) => {
    assert.ok(!JSON.stringify(reply.body).includes('between us'), name);
    return `${name} ${reply.status}`;
  });
  for (const name of ['event', 'state', 'state_ids', 'event_auth'] as const) {
    assert.equal(refusal(asks[name]), '404 M_NOT_FOUND', name);
  }
  for (const reply of [asks.backfill, asks.get_missing_events]) {
    assert.deepEqual(reply.status === 200 ? (reply.body.pdus ?? reply.body.events) : [], []);
  }
  for (const reply of [asks.send_join, asks.send_leave]) assert.ok(reply.status >= 400 && reply.status < 500);
  assert.match(verdicts[across.eventId]!.error!, /another room/);
  assert.equal(await scene.storedCount([across.eventId]), 0);
  assert.equal(await stateOf(alice, secret, 'm.room.member', carol), null);
  await scene.assertUsable(room);
  await scene.assertUsable(secret);
  return said.join(', ');
}

/** Bodies that are no clean JSON. */
async function dirtyBodies(scene: Scene): Promise<string> {
  const { evil, alice } = scene;
  const { room, played } = await scene.room();
  const wrap = (pdu: string): string => transactionText(evil, [777777]).replace('777777', pdu);
  const { tips } = played;
  const textOf = (body: string): string => JSON.stringify(played.say(body, { prevEvents: tips }).json);
  const whole: Record<string, string> = {
    'not closed': wrap(textOf('x')).slice(0, -2),
    'too deep': wrap('['.repeat(10_000) + ']'.repeat(10_000)),
    'no object': '[]',
  };
  // No signature covers these: at most the redacted event is good.
  const changes: Record<string, (text: string) => string> = {
    'half a pair': (text) => text.replace('"half a pair"', '"\\ud800"'),
    'a prototype': (text) => text.replace('{', '{"__proto__":{"polluted":true},'),
    'a constructor': (text) => text.replace('{', '{"constructor":{"prototype":{"polluted":true}},'),
    'a key of 64 KiB': (text) => text.replace('{', `{"${'k'.repeat(65_536)}":1,`),
    'deep within': (text) => text.replace('"deep within"', `${'['.repeat(300)}${']'.repeat(300)}`),
    'a NUL': (text) => text.replace('"a NUL"', '"\\u0000"'),
  };

  for (const [what, text] of Object.entries(whole)) assert.equal((await sendText(evil, text)).status, 400, what);
  const fates: string[] = [];
  for (const [what, change] of Object.entries(changes)) {
    const said = played.say(what, { prevEvents: tips });
    const reply = await sendText(evil, wrap(change(JSON.stringify(said.json))));
    assert.ok(reply.status === 200 || reply.status === 400, `${what}: ${reply.status}`);
    const content = await scene.contentOf(said.eventId);
    assert.ok(content === null || Object.keys(content).length === 0, what);
    fates.push(`${what} ${content === null ? 'refused' : 'redacted'}`);
  }
  // Of two values of a key the last one counts, for the hash, the signature and the store alike.
  const twice = played.say('twice', { prevEvents: tips });
  const reply = await sendText(evil, wrap(JSON.stringify(twice.json).replace('{', `{"sender":"${alice.userId}",`)));

  assert.deepEqual(scene.verdicts(reply), { [twice.eventId]: {} });
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  assert.deepEqual(
    (await saidIn(scene, room)).filter((body) => body !== undefined),
    ['twice'],
  );
  await scene.assertUsable(room);
  return `${Object.keys(whole).length} bodies: 400; ${fates.join(', ')}; no prototype is touched`;
}

/** Events at each limit of size, and one byte over. */
async function sizes(scene: Scene): Promise<string> {
  const { evil } = scene;
  const { room, played } = await scene.room();
  const { json } = played.say('');
  const missing = 65_536 - Buffer.byteLength(JSON.stringify(json));
  const sized = (bytes: number) => {
    const body = 'é'.repeat(bytes / 2) + 'x'.repeat(bytes % 2);
    return signedAnew(evil, '11', json, { content: { body, msgtype: 'm.text' } });
  };
  const [last, over] = [sized(missing), sized(missing + 1)];
  const wide = 'é'.repeat(128);
  const longType = signedAnew(evil, '11', json, { type: wide });
  const fittingType = signedAnew(evil, '11', json, { type: wide.slice(0, 127) });

  const verdicts = scene.verdicts(await played.push([last, over, longType, fittingType].map((event) => event.json)));

  assert.equal(Buffer.byteLength(JSON.stringify(last.json)), 65_536);
  for (const { eventId } of [last, fittingType]) assert.deepEqual(verdicts[eventId], {});
  for (const { eventId } of [over, longType]) assert.notDeepEqual(verdicts[eventId], {}, 'one byte over');
  assert.equal(await scene.storedCount([over.eventId, longType.eventId]), 0);
  const served = await evil.signedRequest('GET', `${V1}/event/${id(last.eventId)}`);
  assert.equal(served.status, 200);
  assert.deepEqual(served.body.pdus[0].content, last.json['content']);
  assert.equal((await saidIn(scene, room)).length, 1);
  await scene.assertUsable(room);
  return '65,536 bytes and a type of 254 taken and served again; one byte over, and a type of 256: refused';
}

/** Integers that a careless parser rounds, in a room version that has them. */
async function roundedNumbers(scene: Scene): Promise<string> {
  const { evil, alice } = scene;
  const { room, played } = await scene.room({ version: '5' });
  const text = JSON.stringify(played.say('777777').json);
  const big = text.replace('"777777"', '9007199254740993');

  // Signed over the rounded number: whoever rounds takes it for good.
  const rounded = signedAnew(evil, '5', JSON.parse(text), { content: { msgtype: 'm.text', body: 9007199254740992 } });
  const lied = JSON.stringify(rounded.json).replace('9007199254740992', '9007199254740993');
  const verdicts = scene.verdicts(
    await sendText(evil, transactionText(evil, [777777]).replace('777777', `${lied},${big}`)),
  );

  const { chunk } = succeeded(await alice.get(`/v3/rooms/${id(room.id)}/messages`, { dir: 'b', limit: 5 }));
  assert.ok(!JSON.stringify(chunk).includes('900719925474099'), 'no rounded number is shown');
  const served = await evil.signedRequest('GET', `${V1}/event/${id(rounded.eventId)}`);
  assert.ok(!JSON.stringify(served.body).includes('9007199254740992'), 'nor served');
  assert.ok(Object.keys(verdicts).length <= 2);
  await scene.assertUsable(room);
  return 'what was signed over a rounded number counts redacted at most: no rounded number is shown or served';
}

/** The create event redacted, and joins that claim another version. */
async function changedVersion(scene: Scene): Promise<string> {
  const { evil, alice } = scene;
  const room = scene.farRoom({ version: '10' });
  succeeded(await alice.post(`/v3/join/${id(room.roomId)}?via=${evil.serverName}`));
  const create = [...room.state.values()][0]!;
  const redaction = room.add('m.room.redaction', null, {}, { redacts: create.eventId });
  const text = transactionText(evil, [redaction.json]);
  succeeded(await sendText(evil, text));
  const asVersion1 = room.build('m.room.message', null, { body: 'v1' });

  const verdicts = scene.verdicts(
    await sendText(evil, transactionText(evil, [{ ...asVersion1.json, event_id: `$mine:${evil.serverName}` }])),
  );
  const other = scene.farRoom({ version: '11' });
  other.spoils.set('make_join', (json) => ({ json: { ...json, room_version: '9' } }));
  const joined = await alice.post(`/v3/join/${id(other.roomId)}?via=${evil.serverName}`);

  assert.equal(verdicts[`$mine:${evil.serverName}`], undefined);
  assert.equal((await stateOf(alice, room.roomId, 'm.room.create'))?.['room_version'], '10');
  assert.equal(refusal(joined), '502 M_UNKNOWN');
  await scene.assertUsable(room.roomId);
  return 'the version stays pinned though the create event is redacted; a join that claims another: 502 M_UNKNOWN';
}

/** null and wrong types where lists and objects are expected, at each door. */
async function wrongTypes(scene: Scene): Promise<string> {
  const { evil, alice } = scene;
  const { room, played } = await scene.room();
  const wrong: JsonValue[] = [null, 7, 'text', true, [], [null], {}];
  const invite = played.build({
    type: 'm.room.member',
    stateKey: alice.userId,
    content: { membership: 'invite' },
    roomId: `!elsewhere:${evil.serverName}`,
  });
  const inviteAs = (roomState: JsonValue) =>
    evil.signedRequest(
      'PUT',
      `/_matrix/federation/v2/invite/${id(`!elsewhere:${evil.serverName}`)}/${id(invite.eventId)}`,
      {
        room_version: '11',
        event: invite.json,
        invite_room_state: roomState,
      },
    );
  const statuses = new Set<number>();
  for (const value of wrong) statuses.add((await inviteAs(value)).status);
  for (const value of wrong) {
    const edus = ['m.typing', 'm.receipt', 'm.presence', 'm.direct_to_device', 'm.device_list_update'].flatMap(
      (edu_type) => [
        { edu_type, content: value },
        { edu_type, content: { room_id: value, user_id: value, push: value, [room.id]: value } },
      ],
    );
    statuses.add((await sendText(evil, transactionText(evil, [value], edus))).status);
    statuses.add((await sendText(evil, JSON.stringify({ pdus: value, edus: value }))).status);
  }
  const contents = wrong.map((value) =>
    played.build({ type: 'm.room.member', stateKey: played.bob, content: { membership: 'join', displayname: value } }),
  );
  await played.push(contents);
  await enter(evil, 'knock', room.id, evil.userId('dora')).catch(() => {});

  assert.ok(
    [...statuses].every((status) => status < 500),
    [...statuses].join(' '),
  );
  assert.equal(typeof (await alice.sync()).next_batch, 'string');
  assert.equal((await alice.get('/v3/publicRooms')).status, 200);
  assert.equal((await alice.get(`/v3/rooms/${id(room.id)}/members`)).status, 200);
  await scene.assertUsable(room);
  return `answered ${[...statuses].sort().join(', ')}, never 500; sync, members and directory go on`;
}

export const SECTION_A: readonly Attack[] = [
  { line: 'A1', name: 'odd numbers in each part of an event', run: oddNumbers },
  { line: 'A2', name: 'odd depths', run: oddDepths },
  { line: 'A3', name: 'bad events by each door', run: bringThroughAllDoors },
  { line: 'A4', name: 'forged event IDs', run: forgedIds },
  { line: 'A5', name: 'events of another room', run: ofAnotherRoom },
  { line: 'A6', name: 'bodies that are no clean JSON', run: dirtyBodies },
  { line: 'A7', name: 'sizes at the limit and over', run: sizes },
  { line: 'A8', name: 'numbers that parsers round', run: roundedNumbers, isSilent: 'redacted events are taken in' },
  { line: 'A9', name: 'a version that changes', run: changedVersion },
  { line: 'A10', name: 'wrong types at each door', run: wrongTypes },
];
