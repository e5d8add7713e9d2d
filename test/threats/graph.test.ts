/** Attacks on a room's graph and its authorization (threats A2, A4, A5, A9, B2, B3, B4, B5, B7), through the engine's one door. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventId } from '../../src/core/ids.ts';
import type { JsonObject } from '../../src/core/json-value.ts';
import type { Pdu } from '../../src/core/pdu.ts';
import { PREV_EVENTS_MAX, readPdu } from '../../src/core/pdu-format.ts';
import { ROOM_RULES, type RoomVersion } from '../../src/core/room-versions.ts';
import type { ArrivalVerdict } from '../../src/rooms/arrivals.ts';
import { ALICE, publicRoomDrafts, sayDraft, startEngine, stateDraft } from '../../src/testing/engine.ts';
import { BOB, CAROL, engineScene, forge, newestOf, publicRoom, type Scene } from './forge.ts';

const VERSIONS = [...ROOM_RULES.keys()] as RoomVersion[];

/** What the engine says of an event that comes in. */
async function standingOf({ rooms, roomId }: Scene, pdu: Pdu): Promise<ArrivalVerdict['standing']> {
  const [verdict] = await rooms.append(roomId, [{ pdu, kind: 'live' }]);
  return verdict!.standing;
}

/** The room goes on as before: for those who are in it, with one tip, and after a restart. */
async function assertGoesOn(scene: Scene, stateCount: number): Promise<void> {
  const { rooms, roomId, db } = scene;
  const [said] = await rooms.send(roomId, [sayDraft(ALICE, 'still here')]);
  const fresh = await startEngine(db);
  const live = await fresh.rooms.get(roomId);
  assert.deepEqual([...live.extremities.keys()], [said!.eventId]);
  assert.equal((await fresh.reader.currentState(live)).length, stateCount);
  assert.equal((await fresh.rooms.send(roomId, [sayDraft(BOB, 'me too')])).length, 1);
}

for (const version of ['1', '2', '5', '6', '11', '12'] as const) {
  test(`A2: an event of the greatest depth neither stops a room of version ${version} nor sorts it`, async (t) => {
    const scene = await engineScene(t, version);
    const { rooms, reader, stream, live, roomId } = scene;
    const tip = await newestOf(scene, live);

    const deep = await forge(scene, live, [tip], sayDraft(BOB, 'deep'), { depth: Number.MAX_SAFE_INTEGER });
    const flat = await forge(scene, live, [tip], sayDraft(BOB, 'flat'), { depth: 0 });
    const standings = [await standingOf(scene, deep), await standingOf(scene, flat)];
    const said = [];
    for (const body of ['one', 'two']) said.push(...(await rooms.send(roomId, [sayDraft(ALICE, body)])));

    assert.deepEqual(standings, ['ok', 'ok']);
    const { events } = await reader.newest(live, 0, stream.current, 4);
    assert.deepEqual(
      events.map(({ eventId }) => eventId),
      [deep.eventId, flat.eventId, ...said.map(({ eventId }) => eventId)],
    );
    for (const { pdu } of said) assert.ok(readPdu(live.rules, pdu.json).allowed, `depth ${pdu.depth}`);
    await assertGoesOn(scene, 6);
  });
}

test('A4: an event ID that the event itself names counts only in room versions 1 and 2', async (t) => {
  for (const version of VERSIONS) {
    const scene = await engineScene(t, version);
    const { live } = scene;
    const pdu = await forge(scene, live, [await newestOf(scene, live)], sayDraft(BOB, 'x'));
    const wish = live.rules.eventIdFormat === 'in-event' ? '$wish:example.org' : `$${'w'.repeat(43)}`;

    const read = readPdu(live.rules, { ...pdu.json, event_id: wish });

    const isOld = live.rules.eventIdFormat === 'in-event';
    assert.equal(read.allowed && read.pdu.eventId === wish, isOld, `room version ${version}`);
    assert.ok(!readPdu(live.rules, { ...pdu.json, prev_events: [{}] }).allowed);
    assert.ok(!readPdu(live.rules, { ...pdu.json, auth_events: ['../../etc', '\0'] }).allowed);
  }
});

for (const version of ['1', '3', '11', '12'] as const) {
  test(`A5: an event of another room does not get into a room of version ${version}`, async (t) => {
    const scene = await engineScene(t, version);
    const other = await scene.rooms.get(await publicRoom(scene, version));
    const elsewhere = await forge(scene, other, [await newestOf(scene, other)], sayDraft(BOB, 'over there'));
    const tip = await newestOf(scene, scene.live);
    const mixed = await forge(scene, scene.live, [tip], sayDraft(BOB, 'neither here nor there'), {
      roomId: other.roomId,
    });
    const across = await forge(scene, scene.live, [await newestOf(scene, other)], sayDraft(BOB, 'from there'));

    assert.equal((await scene.rooms.append(other.roomId, [{ pdu: elsewhere, kind: 'live' }]))[0]?.standing, 'ok');
    assert.equal(await standingOf(scene, elsewhere), 'rejected', 'known there, and still not of this room');
    for (const pdu of [mixed, across]) {
      assert.equal(await standingOf(scene, pdu), 'rejected', String(pdu.content['body']));
      assert.equal(await scene.events.findById(pdu.eventId), undefined, 'not even kept');
    }

    await assertGoesOn(scene, 6);
  });
}

for (const version of ['9', '10', '11'] as const) {
  test(`A9: redacting the create event does not make a room of version ${version} one of version 1`, async (t) => {
    const scene = await engineScene(t, version);
    const { rooms, roomId, reader, live } = scene;
    const create = await reader.stateEvent(live, 'm.room.create', '');

    const redaction = {
      type: 'm.room.redaction',
      stateKey: null,
      sender: ALICE,
      content: {},
      redacts: create!.eventId,
    };
    await rooms.send(roomId, [redaction]);

    const fresh = await startEngine(scene.db);
    assert.equal((await fresh.rooms.get(roomId)).rules.version, version);
    const again = await fresh.reader.stateEvent(await fresh.rooms.get(roomId), 'm.room.create', '');
    assert.equal(again?.pdu.content['room_version'], version);
    assert.equal(again?.isRedacted, false);
    await assertGoesOn(scene, 6);
  });
}

for (const version of ['1', '2', '6', '11', '12'] as const) {
  test(`B2: wrong auth events get an event of a room of version ${version} rejected for good, and nothing else (threat B3)`, async (t) => {
    const scene = await engineScene(t, version);
    const { rooms, roomId, reader, live, events } = scene;
    const other = await rooms.get(await publicRoom(scene, version));
    const oldLevels = await reader.stateEvent(live, 'm.room.power_levels', '');
    const users = live.rules.creatorsArePrivileged ? { [CAROL]: 5 } : { [ALICE]: 100, [CAROL]: 5 };
    const [levels] = await rooms.send(roomId, [stateDraft(ALICE, 'm.room.power_levels', '', { users })]);
    const tip = await newestOf(scene, live);
    const idOf = async (type: string, key: string, room = live): Promise<EventId> =>
      (await reader.stateEvent(room, type, key))!.eventId;
    const create = live.rules.roomIdIsCreateHash ? [] : [await idOf('m.room.create', '')];
    const member = await idOf('m.room.member', BOB);
    const seized = await forge(
      scene,
      live,
      [tip],
      stateDraft(BOB, 'm.room.power_levels', '', { users: { ...users, [BOB]: 100 } }),
    );
    assert.equal(await standingOf(scene, seized), 'rejected', 'Bob may not promote himself');
    const topic = stateDraft(BOB, 'm.room.topic', '', { topic: 'Bob was here' });

    const lists: Record<string, EventId[]> = {
      'of another room': [...create, levels!.eventId, await idOf('m.room.member', BOB, other)],
      rejected: [...create, seized.eventId, member],
      'twice the same key': [...create, oldLevels!.eventId, levels!.eventId, member],
      'twice the same event': [...create, levels!.eventId, member, member],
      'not in the selection': [...create, levels!.eventId, member, await idOf('m.room.join_rules', '')],
      'that nobody has': [
        ...create,
        levels!.eventId,
        member,
        (version < '3' ? '$none:x' : `$${'n'.repeat(43)}`) as EventId,
      ],
      'the create event where it must not be, or lacks': live.rules.roomIdIsCreateHash
        ? [await idOf('m.room.create', ''), levels!.eventId, member]
        : [levels!.eventId, member],
      none: [],
    };
    for (const [what, authEvents] of Object.entries(lists)) {
      for (const draft of [topic, sayDraft(BOB, what)]) {
        const pdu = await forge(scene, live, [tip], draft, { authEvents });
        assert.equal(await standingOf(scene, pdu), 'rejected', `auth events ${what}`);
        assert.equal(await standingOf(scene, pdu), 'rejected', 'a rejection stays, however often it comes (threat B3)');
      }
    }
    const many: JsonObject = {
      ...seized.json,
      auth_events: Array.from({ length: 11 }, () => (live.rules.hasEventReferencePairs ? [member, {}] : member)),
    };
    assert.ok(!readPdu(live.rules, many).allowed, 'more than ten');

    assert.equal(await reader.stateEvent(live, 'm.room.topic', ''), null);
    assert.equal((await events.findById(seized.eventId))?.isShown, false);
    await assertGoesOn(scene, 6);
  });
}

for (const version of ['1', '2'] as const) {
  test(`B2: auth events that run in a circle are rejected in room version ${version}, where senders choose the IDs`, async (t) => {
    const scene = await engineScene(t, version);
    const { rooms, roomId, live, reader } = scene;
    const tip = await newestOf(scene, live);
    const [one, two, own] = ['$one:example.org', '$two:example.org', '$own:example.org'] as EventId[];
    const create = (await reader.stateEvent(live, 'm.room.create', ''))!.eventId;
    const member = (await reader.stateEvent(live, 'm.room.member', ALICE))!.eventId;
    const draft = stateDraft(ALICE, 'm.room.power_levels', '', { users: { [ALICE]: 100, [BOB]: 100 } });
    const circle = async (eventId: EventId, levels: EventId) =>
      forge(scene, live, [tip], draft, { eventId, authEvents: [create, levels, member] });

    for (const kind of ['outlier', 'live'] as const) {
      const pdus = [await circle(one!, two!), await circle(two!, one!), await circle(own!, own!)];
      const verdicts = await rooms.append(
        roomId,
        pdus.map((pdu) => ({ pdu, kind })),
      );
      assert.deepEqual(
        verdicts.map(({ standing }) => standing),
        ['rejected', 'rejected', 'rejected'],
        kind,
      );
    }
    await assertGoesOn(scene, 6);
  });
}

for (const version of VERSIONS) {
  test(`B4: a second create event does not get into a room of version ${version}`, async (t) => {
    const scene = await engineScene(t, version);
    const { live, reader, rooms, roomId } = scene;
    const tip = await newestOf(scene, live);
    const create = await reader.stateEvent(live, 'm.room.create', '');
    const content = { ...publicRoomDrafts(version)[0]!.content, again: true };
    const draft = stateDraft(ALICE, 'm.room.create', '', content);
    const own = live.rules.roomIdIsCreateHash ? { roomId: null } : {};

    const first = await forge(scene, live, [tip], draft, { ...own, prevEvents: [], authEvents: [], depth: 1 });
    const later = await forge(scene, live, [tip], draft, { ...own });
    for (const pdu of [first, later]) {
      const standing = await standingOf(scene, pdu).catch(() => 'refused');
      assert.ok(standing === 'rejected' || standing === 'refused', standing);
    }
    await assert.rejects(rooms.send(roomId, [draft]));

    assert.equal((await reader.stateEvent(live, 'm.room.create', ''))?.eventId, create!.eventId);
    await assertGoesOn(scene, 6);
  });
}

for (const version of ['2', '6', '11', '12'] as const) {
  for (const order of ['the demotion first', 'the branch first'] as const) {
    test(`B5: a moderator who was demoted cannot act from the past in room version ${version}, ${order}`, async (t) => {
      const scene = await engineScene(t, version);
      const { rooms, roomId, live, reader, clock } = scene;
      const base = live.rules.creatorsArePrivileged ? {} : { [ALICE]: 100 };
      const levels = (bob: number) => stateDraft(ALICE, 'm.room.power_levels', '', { users: { ...base, [BOB]: bob } });
      await rooms.send(roomId, [levels(50)]);
      const past = await newestOf(scene, live);
      clock.advance(1000);
      const demotion = await forge(scene, live, [past], levels(0));
      // Both claim to be older than the demotion.
      const ban = await forge(scene, live, [past], stateDraft(BOB, 'm.room.member', CAROL, { membership: 'ban' }), {
        originServerTs: 1,
      });

      const arrivals = order === 'the branch first' ? [ban, demotion] : [demotion, ban];
      for (const pdu of arrivals) await standingOf(scene, pdu);
      const stored = (await scene.events.findById(ban.eventId))!;
      // A friend's event on top of the branch drags it to the tips of the graph.
      const drag = await forge(scene, live, [stored], sayDraft(ALICE, 'on the branch'));
      await standingOf(scene, drag);
      await rooms.send(roomId, [sayDraft(ALICE, 'all together')]);

      const fresh = await startEngine(scene.db);
      const again = await fresh.rooms.get(roomId);
      for (const room of [live, again]) {
        assert.equal(room.membershipOf(CAROL), 'join', 'the ban does not stand');
        assert.equal(room.membershipOf(BOB), 'join');
        assert.equal(room.extremities.size, 1);
      }
      const users = (await reader.stateEvent(live, 'm.room.power_levels', ''))!.pdu.content['users'] as JsonObject;
      assert.equal(users[BOB], 0);
      assert.ok([...live.extremities.values()].length <= PREV_EVENTS_MAX);
    });
  }
}

for (const version of ['2', '6', '12'] as const) {
  test(`B3: a rejected event stays out of the state that another server tells, in room version ${version}`, async (t) => {
    const scene = await engineScene(t, version);
    const { rooms, roomId, live, reader, events } = scene;
    const tip = await newestOf(scene, live);
    const seized = await forge(
      scene,
      live,
      [tip],
      stateDraft(BOB, 'm.room.power_levels', '', { users: { [BOB]: 100 } }),
    );
    assert.equal(await standingOf(scene, seized), 'rejected');
    const topic = await forge(scene, live, [tip], stateDraft(BOB, 'm.room.topic', '', { topic: 'Bob was here' }), {
      prevEvents: [(version === '2' ? '$hidden:example.org' : `$${'h'.repeat(43)}`) as EventId],
    });
    const stateBefore = [...(await reader.currentState(live)).map(({ eventId }) => eventId), seized.eventId];

    const [verdict] = await rooms.append(roomId, [{ pdu: topic, kind: 'live', stateBefore }]);

    assert.equal(verdict?.standing, 'rejected', 'Bob has no level for it');
    assert.equal((await events.findById(seized.eventId))?.row.standing, 'rejected');
    const [again] = await rooms.append(roomId, [{ pdu: seized, kind: 'outlier' }]);
    assert.deepEqual([again?.standing, again?.isKnown], ['rejected', true]);
    await assertGoesOn(scene, 6);
  });
}

for (const version of ['1', '2'] as const) {
  test(`A4: the first event of an ID keeps it in room version ${version}, where senders choose the IDs`, async (t) => {
    const scene = await engineScene(t, version);
    const { rooms, roomId, live, events } = scene;
    const tip = await newestOf(scene, live);
    const eventId = '$twice:example.org' as EventId;
    const [first, second] = [
      await forge(scene, live, [tip], sayDraft(BOB, 'first'), { eventId }),
      await forge(scene, live, [tip], sayDraft(BOB, 'second'), { eventId, depth: 99 }),
    ];

    assert.equal((await rooms.append(roomId, [{ pdu: first, kind: 'outlier' }]))[0]?.standing, 'ok');
    assert.equal(await standingOf(scene, second), 'rejected');
    assert.equal(await standingOf(scene, first), 'ok');
    assert.equal(await standingOf(scene, second), 'rejected');

    assert.equal((await events.findById(eventId))?.pdu.content['body'], 'first');
    await assertGoesOn(scene, 6);
  });
}

test('B2: an event that follows nothing is rejected, unless it is the first create event', async (t) => {
  const scene = await engineScene(t, '11');
  const { live } = scene;
  const tip = await newestOf(scene, live);

  const rootless = await forge(scene, live, [tip], sayDraft(BOB, 'out of nowhere'), { prevEvents: [] });

  assert.equal(await standingOf(scene, rootless), 'rejected');
  await assertGoesOn(scene, 6);
});
