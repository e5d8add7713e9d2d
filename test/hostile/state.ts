/** Section B: events that want more than the rules give them, and states that want to be taken for the room's. */
import assert from 'node:assert/strict';
import type { JsonObject, JsonValue } from '../../src/core/json-value.ts';
import type { RoomVersion } from '../../src/core/room-versions.ts';
import type { RemoteEvent } from '../../src/testing/remote-server.ts';
import { roomPath } from '../../src/testing/room-path.ts';
import { succeeded, type TestRoom } from '../../src/testing/test-client.ts';
import type { PlayedRoom } from '../support/played-room.ts';
import type { Attack, Scene } from './attack.ts';
import { id, saidIn, signedAnew, stateOf } from './wire.ts';

/** A room in which the evil user has a level. */
async function roomWithLevel(scene: Scene, level: number, version: RoomVersion = '11') {
  const { alice, evil } = scene;
  const own = version === '12' ? {} : { [alice.userId]: 100 };
  const users = { ...own, [evil.userId('bob')]: level };
  return scene.room({ version, content: { power_level_content_override: { users } } });
}

const setMember = async ({ alice }: Scene, room: TestRoom, userId: string, membership: string): Promise<void> =>
  void succeeded(await alice.put(roomPath(room, 'state', 'm.room.member', userId), { membership }));

/** Everything of a list is refused, and none of it is in the room. */
async function assertRefused(scene: Scene, played: PlayedRoom, events: readonly RemoteEvent[]): Promise<void> {
  const verdicts = scene.verdicts(await played.push(events));
  for (const event of events) {
    assert.match(verdicts[event.eventId]?.error ?? 'nameless', /\S/, JSON.stringify(event.json));
    assert.notDeepEqual(verdicts[event.eventId], {}, JSON.stringify(event.json));
  }
}

/** Auth events of another room, rejected, doubled, missing, too many. */
async function wrongAuthEvents(scene: Scene): Promise<string> {
  const { alice } = scene;
  const { room, played } = await roomWithLevel(scene, 50);
  const other = (await scene.room()).played;
  const { tips } = played;
  const idOf = (key: string, of = played): string => of.state.get(key)!;
  const own = ['m.room.create|', 'm.room.power_levels|', `m.room.member|${played.bob}`].map((key) => idOf(key));
  const seized = played.build({
    type: 'm.room.power_levels',
    stateKey: '',
    content: { users: { [played.bob]: 100 } },
  });
  played.state.set('m.room.power_levels|', own[1]!);
  await assertRefused(scene, played, [seized]);
  const lists: Record<string, readonly string[]> = {
    'of another room': [own[0]!, own[1]!, idOf(`m.room.member|${played.bob}`, other)],
    rejected: [own[0]!, seized.eventId, own[2]!],
    'twice the same event': [...own, own[2]!],
    'not in the selection': [...own, idOf('m.room.join_rules|')],
    'the create event lacks': own.slice(1),
    none: [],
    'more than ten': Array.from({ length: 11 }, () => own[2]!),
    unknown: [...own, `$${'n'.repeat(43)}`],
  };
  const events = Object.entries(lists).map(([topic, authEvents]) => {
    const event = { type: 'm.room.topic', stateKey: '', content: { topic }, prevEvents: tips };
    return signedAnew(scene.evil, '11', played.build(event).json, { auth_events: authEvents });
  });

  const verdicts = scene.verdicts(await played.push(events.map(({ json }) => json)));

  for (const [index, { eventId }] of events.entries()) {
    assert.notDeepEqual(verdicts[eventId], {}, Object.keys(lists)[index]);
  }
  assert.equal(await stateOf(alice, room, 'm.room.topic'), null);
  await scene.assertUsable(room);
  return `${events.length} kinds of lists: each event refused, the topic is not set`;
}

/** A rejected event, brought again by itself, as a missing one and as a part of the state. */
async function rejectedAgain(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const { room, played } = await scene.room();
  const grab = played.build({ type: 'm.room.topic', stateKey: '', content: { topic: 'ours' } });
  await assertRefused(scene, played, [grab]);
  await assertRefused(scene, played, [grab]);
  const asked = evil.requests.length;
  const onTop = played.say('on top of it');
  const verdicts = scene.verdicts(await played.push([onTop]));
  assert.deepEqual(verdicts[onTop.eventId], {}, 'what stands on it is judged by the state without it');
  // Behind a gap, the state is told with it.
  played.say('missing');
  played.say('missing, too');
  const last = played.say('last');
  const state = [...played.state.values()];
  evil.route('POST', /get_missing_events/, () => ({ json: { events: [] } }));
  evil.route('GET', /\/state_ids\//, () => ({ json: { pdu_ids: state, auth_chain_ids: state } }));

  const behind = scene.verdicts(await played.push([last]));

  assert.equal(evil.requests.slice(0, asked).filter(({ path }) => path.includes('event_auth')).length, 0);
  assert.deepEqual(behind[last.eventId], {});
  assert.equal(await stateOf(alice, room, 'm.room.topic'), null);
  await scene.assertUsable(room);
  return 'rejected each time, and no part of the state that is told; what stands on it is taken';
}

/** A second create event, by a transaction and in a state that is told. */
async function secondCreate(scene: Scene): Promise<string> {
  const { alice } = scene;
  const counts: number[] = [];
  for (const version of ['1', '6', '11', '12'] as const) {
    const { room, played } = await scene.room({ version });
    const before = await stateOf(alice, room, 'm.room.create');
    const content = { room_version: version, creator: played.bob, mine: true };
    const { json } = played.say('as it were');
    const changes = { type: 'm.room.create', state_key: '', content };
    const none = { prev_events: [], auth_events: [] };
    const creates = [changes, { ...changes, ...none }, { ...changes, ...none, depth: 1 }].map((change, number) => {
      const named = version === '1' ? { event_id: `$create${number}:${scene.evil.serverName}` } : {};
      return signedAnew(scene.evil, version, json, { ...change, ...named });
    });
    counts.push(creates.length);
    const verdicts = scene.verdicts(await played.push(creates.map((create) => create.json)));
    for (const { eventId } of creates) assert.notDeepEqual(verdicts[eventId], {}, `room version ${version}`);
    assert.deepEqual(await stateOf(alice, room, 'm.room.create'), before);
    await scene.assertUsable(room);
  }
  // Where the room is named after its create event, another one names another room.
  const far = scene.farRoom({ version: '12' });
  scene.clock.advance(1);
  const twin = scene.farRoom({ version: '12' });
  far.spoils.set('send_join', (reply) => ({ json: { ...reply, ...twin.told() } }));
  const joined = await alice.post(`/v3/join/${id(far.roomId)}?via=${scene.evil.serverName}`);
  assert.equal(joined.status, 502);
  return `${counts.reduce((sum, count) => sum + count)} refused in versions 1, 6, 11, 12; a room of 12 under another's name: 502`;
}

/** A moderator who lost power acts from before that, and a friend's event drags that branch to the tips. */
async function backDated(scene: Scene): Promise<string> {
  const { alice, server } = scene;
  const versions = ['6', '10', '11', '12'] as const;
  for (const version of versions) {
    const { room, played } = await roomWithLevel(scene, 50, version);
    const carol = await server.user(
      `carol-${version}-${room.id
        .slice(1, 9)
        .toLowerCase()
        .replace(/[^a-z0-9]/g, 'x')}`,
    );
    await carol.join(room);
    await scene.meanwhile();
    await played.look(alice);
    const { tips } = played;
    const levels = await stateOf(alice, room, 'm.room.power_levels');
    const users = { ...(levels!['users'] as JsonObject), [played.bob]: 0 };
    await alice.setState(room, 'm.room.power_levels', { ...levels, users });
    const past = { prevEvents: tips, originServerTs: 1 };
    const ban = played.build({
      type: 'm.room.member',
      stateKey: carol.userId,
      content: { membership: 'ban' },
      ...past,
    });
    const again = played.build({
      type: 'm.room.power_levels',
      stateKey: '',
      content: { ...levels, users: { ...(levels!['users'] as JsonObject), [played.bob]: 50 } },
      ...past,
    });

    await played.push([ban, again]);
    await scene.meanwhile();
    const drag = played.say('on that branch', { prevEvents: [ban.eventId, again.eventId] });
    await played.push([drag]);
    await alice.say(room, 'all together');

    const now = (await stateOf(alice, room, 'm.room.power_levels'))!['users'] as JsonObject;
    assert.equal(now[played.bob], 0, `room version ${version}`);
    assert.equal((await stateOf(alice, room, 'm.room.member', carol.userId))?.['membership'], 'join', version);
    await carol.say(room, 'I am still here');
    await scene.assertUsable(room);
  }
  return `versions ${versions.join(', ')}: the power stays lost, who was banned from the past stays in`;
}

/** Powers of creators claimed by others, or taken from them. */
async function creatorPowers(scene: Scene): Promise<string> {
  const { alice, evil } = scene;
  const { room, played } = await roomWithLevel(scene, 100, '12');
  const levels = (await stateOf(alice, room, 'm.room.power_levels'))!;
  const users = levels['users'] as JsonObject;
  const with_ = (changes: JsonObject) => played.build({ type: 'm.room.power_levels', stateKey: '', content: changes });
  const { tips } = played;
  const attempts = [
    with_({ ...levels, users: { ...users, [alice.userId]: 0 } }),
    with_({ ...levels, users: { ...users, [played.bob]: 101 } }),
    played.build({ type: 'm.room.tombstone', stateKey: '', content: { body: 'gone', replacement_room: '!x' } }),
    played.build({ type: 'm.room.member', stateKey: alice.userId, content: { membership: 'ban' } }),
  ].map(({ json }) => signedAnew(evil, '12', json, { prev_events: tips, auth_events: authOf(played) }));
  const verdicts = scene.verdicts(await played.push(attempts.map(({ json }) => json)));
  for (const { eventId } of attempts) assert.notDeepEqual(verdicts[eventId], {});
  assert.deepEqual(await stateOf(alice, room, 'm.room.power_levels'), levels);

  const malformed: JsonValue[] = ['@x:y', [7], ['nobody'], { '0': '@x:y' }];
  const statuses = new Set<number>();
  for (const additional_creators of malformed) {
    const far = scene.farRoom({ version: '12' });
    const create = [...far.state.values()][0]!;
    const content = { ...(create.json['content'] as JsonObject), additional_creators };
    const bad = signedAnew(evil, '12', create.json, { content });
    const roomId = `!${bad.eventId.slice(1)}`;
    evil.route('GET', new RegExp(`make_join/${id(roomId)}/`), () => ({
      json: { room_version: '12', event: { ...far.template(alice.userId, 'join'), room_id: roomId } },
    }));
    evil.route('PUT', new RegExp(`send_join/${id(roomId)}/`), ({ body }) => ({
      json: { state: [bad.json], auth_chain: [bad.json], event: body!, origin: evil.serverName },
    }));
    statuses.add((await alice.post(`/v3/join/${id(roomId)}?via=${evil.serverName}`)).status);
  }
  assert.deepEqual([...statuses], [502]);
  await scene.assertUsable(room);
  return `${attempts.length} attempts on the creator's power refused; ${malformed.length} malformed additional_creators: the join is 502`;
}

const authOf = (played: PlayedRoom): string[] => [
  played.state.get('m.room.power_levels|')!,
  played.state.get(`m.room.member|${played.bob}`)!,
];

/** Power levels that are text, fractions, huge, lists. */
async function oddPowerLevels(scene: Scene): Promise<string> {
  const { alice } = scene;
  const odd: JsonValue[] = ['50', '1.5', [50], { is: 50 }, null, true, '9'.repeat(40)];
  let refused = 0;
  for (const version of ['10', '12'] as const) {
    const { room, played } = await roomWithLevel(scene, 100, version);
    const levels = (await stateOf(alice, room, 'm.room.power_levels'))!;
    const keep = new Map(played.state);
    const { tips } = played;
    const attempts = odd.flatMap((value) =>
      [
        { ...levels, users_default: value },
        { ...levels, users: { ...(levels['users'] as JsonObject), [played.bob]: value } },
        { ...levels, events: { 'm.room.name': value } },
        { ...levels, events: value === null || Array.isArray(value) ? value : 'x' },
      ].map((content) => {
        for (const [key, eventId] of keep) played.state.set(key, eventId);
        return played.build({ type: 'm.room.power_levels', stateKey: '', content, prevEvents: tips });
      }),
    );
    await assertRefused(scene, played, attempts);
    refused += attempts.length;
    assert.deepEqual(await stateOf(alice, room, 'm.room.power_levels'), levels);
    await scene.assertUsable(room);
  }
  // Older rooms read text as numbers: what that gives must be no more than the sender has.
  const { room, played } = await roomWithLevel(scene, 50, '6');
  const levels = (await stateOf(alice, room, 'm.room.power_levels'))!;
  const users = { ...(levels['users'] as JsonObject), [played.bob]: '100' };
  await assertRefused(scene, played, [
    played.build({ type: 'm.room.power_levels', stateKey: '', content: { ...levels, users } }),
  ]);
  await scene.assertUsable(room);
  return `${refused} refused in versions 10 and 12; in version 6 text is a number, and gives nobody more than they have`;
}

/** A banned server floods a room with events from before its ban. */
async function softFailFlood(scene: Scene): Promise<string> {
  const { alice } = scene;
  const { room, played } = await scene.room();
  const { tips } = played;
  await setMember(scene, room, played.bob, 'ban');
  const ids: string[] = [];
  for (let batch = 0; batch < 8; batch++) {
    const late = Array.from({ length: 50 }, (_, n) => played.say(`late ${batch} ${n}`, { prevEvents: tips }));
    ids.push(...late.map(({ eventId }) => eventId));
    succeeded(await played.push(late));
  }

  const stored = await scene.storedCount(ids);

  assert.ok(stored > 0 && stored <= 200, `${stored} stored`);
  assert.deepEqual(await saidIn(scene, room), []);
  const said = await alice.say(room, 'gone');
  const { body } = await alice.get(roomPath(room, 'context', said), { limit: 0 });
  assert.equal(body.event.event_id, said);
  await scene.assertUsable(room);
  return `${ids.length} sent, ${stored} kept, none shown, none a tip`;
}

/** Redactions by who has no power for it, of events of other rooms, of what a room stands on. */
async function redactions(scene: Scene): Promise<string> {
  const { alice } = scene;
  for (const version of ['1', '5', '8', '11', '12'] as const) {
    const { room, played } = await scene.room({ version });
    const said = await alice.say(room, 'mine');
    const elsewhere = await alice.createRoom({ room_version: version });
    const there = await alice.say(elsewhere, 'elsewhere');
    const own = played.say('own');
    await played.push([own]);
    const state = new Map(played.state);
    const redact = (target: string): RemoteEvent => {
      const inContent = Number(version) >= 11;
      return played.build({
        type: 'm.room.redaction',
        content: inContent ? { redacts: target } : {},
        redacts: inContent ? null : target,
      });
    };
    const targets = [said, there, state.get('m.room.power_levels|')!, state.get('m.room.create|')!, own.eventId];

    for (const target of targets) succeeded(await played.push([redact(target)]));

    const after = await alice.get(roomPath(room, 'event', own.eventId));
    assert.deepEqual(after.body.content, {}, `room version ${version}: one's own event`);
    assert.deepEqual(await saidIn(scene, elsewhere), ['elsewhere'], version);
    assert.equal((await alice.get(roomPath(room, 'event', said))).body.content.body, 'mine', version);
    assert.ok((await stateOf(alice, room, 'm.room.power_levels'))?.['users'] !== undefined, version);
    assert.equal((await stateOf(alice, room, 'm.room.create'))?.['room_version'], version);
    await scene.assertUsable(room);
  }
  return 'versions 1, 5, 8, 11, 12: only the own event is redacted; power levels, create event and other rooms are not';
}

export const STATE_ATTACKS: readonly Attack[] = [
  { line: 'B2', name: 'wrong auth events', run: wrongAuthEvents },
  { line: 'B3', name: 'a rejected event again', run: rejectedAgain },
  { line: 'B4', name: 'a second create event', run: secondCreate },
  { line: 'B5', name: 'a branch that is dated back', run: backDated },
  { line: 'B6', name: 'powers of creators', run: creatorPowers },
  { line: 'B7', name: 'odd power levels', run: oddPowerLevels },
  { line: 'B8', name: 'a flood of soft-failed events', run: softFailFlood },
  { line: 'B11', name: 'redactions beyond one’s power', run: redactions },
];
