/** The graph as other servers ask for it: holes, walks back, state and auth chains. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import { forge } from '../../test/threats/forge.ts';
import type { EventId, UserId } from '../core/ids.ts';
import type { Pdu } from '../core/pdu.ts';
import { findRoomRules } from '../core/room-versions.ts';
import { ALICE, pduAfter, publicRoomDrafts, sayDraft, startEngine, stateDraft } from '../testing/engine.ts';
import type { StoredEvent } from './stored-event.ts';

const bob = '@bob:elsewhere.org' as UserId;
const idsOf = (events: readonly StoredEvent[]) => events.map(({ eventId }) => eventId);

forEachDatabase((database) => {
  async function scene(t: { after(done: () => unknown): void }) {
    const db = await engineDatabase(t, database);
    const engine = await startEngine(db);
    const made = await engine.rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
    const { roomId } = made[0]!.pdu;
    const live = await engine.rooms.get(roomId);
    const say = async (body: string) => (await engine.rooms.send(roomId, [sayDraft(ALICE, body)]))[0]!;
    return { ...engine, db, made, roomId, live, say };
  }

  test('which events we have, and whether they have a place, is told for this room only', async (t) => {
    const parts = await scene(t);
    const { graph, live, rooms, made } = parts;
    const [other] = await rooms.create(findRoomRules('11')!, publicRoomDrafts('11'));
    const outlier = await pduAfter(parts, live, [made.at(-1)!], sayDraft(ALICE, 'kept aside'));
    await rooms.append(live.roomId, [{ pdu: outlier, kind: 'outlier' }]);
    const unknown = '$nobody-has-this' as EventId;

    const asked = [made[0]!.eventId, other!.eventId, outlier.eventId, unknown];
    const known = await graph.known(live, asked);

    assert.deepEqual([...known.keys()].sort(), [made[0]!.eventId, outlier.eventId].sort());
    assert.equal(known.get(outlier.eventId)?.isOutlier, true);
    assert.deepEqual(await graph.missing(live, asked, 'content'), [other!.eventId, unknown]);
    assert.deepEqual(await graph.missing(live, asked, 'place'), [other!.eventId, outlier.eventId, unknown]);
  });

  test('missing events are those between, nearest to the newest, oldest first, within bounds', async (t) => {
    const parts = await scene(t);
    const { graph, live, say, made, rooms } = parts;
    const said = [];
    for (const body of ['1', '2', '3', '4']) said.push(await say(body));
    const aside = await pduAfter(parts, live, [said[1]!], sayDraft(ALICE, 'aside'));
    await rooms.append(live.roomId, [{ pdu: aside, kind: 'live' }]);
    const joined = await say('together');
    const ask = { earliest: [said[0]!.eventId], latest: [joined.eventId], limit: 10, depthMin: 0 };

    const all = idsOf(await graph.missingEvents(live, ask));
    assert.deepEqual(new Set(all), new Set([said[1]!.eventId, said[2]!.eventId, said[3]!.eventId, aside.eventId]));
    assert.equal(all[0], said[1]!.eventId);
    assert.ok(all.indexOf(said[2]!.eventId) < all.indexOf(said[3]!.eventId));
    assert.deepEqual(
      idsOf(await graph.missingEvents(live, { ...ask, limit: 2 })).sort(),
      [said[3]!.eventId, aside.eventId].sort(),
    );
    const deep = await graph.missingEvents(live, { ...ask, depthMin: said[3]!.pdu.depth });
    assert.deepEqual(idsOf(deep), [said[3]!.eventId]);
    assert.deepEqual(await graph.missingEvents(live, { ...ask, latest: ['$none' as EventId] }), []);
    assert.equal(made.length, 4);
  });

  test('a walk back begins with the events themselves and leads to the create event', async (t) => {
    const { graph, live, say, made } = await scene(t);
    const [one, two] = [await say('1'), await say('2')];

    assert.deepEqual(
      idsOf(await graph.backfill(live, [two.eventId], 3)),
      [two, one, made[3]!].map((e) => e.eventId),
    );
    assert.deepEqual(idsOf(await graph.backfill(live, [one.eventId], 100)), idsOf([one, ...[...made].reverse()]));
    assert.deepEqual(await graph.backfill(live, ['$none' as EventId], 100), []);
  });

  test('the state before an event lacks it, and has what it replaced', async (t) => {
    const { graph, live, rooms, made, say } = await scene(t);
    const topic = (text: string) => stateDraft(ALICE, 'm.room.topic', '', { topic: text });
    const [first] = await rooms.send(live.roomId, [topic('one')]);
    const [second] = await rooms.send(live.roomId, [topic('two')]);
    const after = await say('after');
    const before = async (event: StoredEvent) => (await graph.stateIdsBefore(live, event))?.state.sort();

    assert.deepEqual(await before(first!), idsOf(made).sort());
    assert.deepEqual(await before(second!), idsOf([...made, first!]).sort());
    assert.deepEqual(await before(after), idsOf([...made, second!]).sort());
    assert.deepEqual(await before(made[0]!), []);
    const { authChain } = (await graph.stateIdsBefore(live, after))!;
    assert.deepEqual(authChain.sort(), idsOf(made.slice(0, 3)).sort(), 'nothing rests on the join rules');
  });

  test('the auth chain of an event is all that it rests on', async (t) => {
    const { graph, live, rooms, made } = await scene(t);
    const [join] = await rooms.send(live.roomId, [stateDraft(bob, 'm.room.member', bob, { membership: 'join' })]);

    const chain: StoredEvent[] = [];
    for await (const events of graph.eventAuth(live, join!)) chain.push(...events);

    assert.deepEqual(idsOf(chain).sort(), idsOf(made).sort());
  });

  test('servers are those of joined members, also after a restart', async (t) => {
    const { graph, live, rooms, db } = await scene(t);
    const carol = '@carol:third.org' as UserId;
    for (const user of [bob, carol])
      await rooms.send(live.roomId, [stateDraft(user, 'm.room.member', user, { membership: 'join' })]);
    await rooms.send(live.roomId, [stateDraft(bob, 'm.room.member', bob, { membership: 'leave' })]);

    assert.deepEqual([...graph.servers(live)].sort(), ['example.org', 'third.org']);
    const again = await startEngine(db);
    assert.deepEqual([...again.graph.servers(await again.rooms.get(live.roomId))].sort(), ['example.org', 'third.org']);
  });

  test('what rests on an event that was refused is refused with it, and both are taken in when the gap is filled', async (t) => {
    const parts = await scene(t);
    const { live, rooms, made } = parts;
    const gap = await forge(parts, live, [made.at(-1)!], sayDraft(ALICE, 'in between'));
    const join = stateDraft(bob, 'm.room.member', bob, { membership: 'join' });
    const joined = await forge(parts, live, [made.at(-1)!], join, { prevEvents: [gap.eventId], depth: gap.depth + 1 });
    const change = {
      prevEvents: [joined.eventId],
      depth: joined.depth + 1,
      authEvents: [...gap.authEvents.slice(0, 2), joined.eventId],
    };
    const said = await forge(parts, live, [made.at(-1)!], sayDraft(bob, 'hello'), change);

    const tooEarly = await rooms.append(
      live.roomId,
      [joined, said].map((pdu) => ({ pdu, kind: 'live' })),
    );
    const inTime = await rooms.append(
      live.roomId,
      [gap, joined, said].map((pdu) => ({ pdu, kind: 'live' })),
    );

    assert.deepEqual(
      tooEarly.map(({ standing, missing }) => [standing, missing]),
      [
        ['refused', [gap.eventId]],
        ['refused', [joined.eventId]],
      ],
    );
    assert.deepEqual(
      inTime.map(({ standing }) => standing),
      ['ok', 'ok', 'ok'],
    );
  });

  test('a hole in the graph is known until it is filled, and pages stay in order', async (t) => {
    const parts = await scene(t);
    const { graph, live, rooms, made, db, stream, reader } = parts;
    // History of another server: three events that we do not see, and one after them.
    const hidden: Pdu[] = [];
    for (const body of ['1', '2', '3', '4']) {
      const prevEvents = hidden.slice(-1).map(({ eventId }) => eventId);
      const change = hidden.length === 0 ? {} : { prevEvents, depth: hidden.at(-1)!.depth + 1 };
      hidden.push(await forge(parts, live, [made.at(-1)!], sayDraft(ALICE, body), change));
    }
    const newest = hidden.pop()!;
    const state = idsOf(made);

    const [refused] = await rooms.append(live.roomId, [{ pdu: newest, kind: 'live' }]);
    assert.deepEqual([refused!.standing, refused!.missing], ['refused', [hidden[2]!.eventId]]);
    const [taken] = await rooms.append(live.roomId, [{ pdu: newest, kind: 'live', stateBefore: state }]);
    assert.equal(taken!.standing, 'ok');
    const again = await startEngine(db);
    for (const room of [live, await again.rooms.get(live.roomId)]) {
      assert.deepEqual(
        (await graph.backwardExtremities(room)).map(({ eventId, missing }) => [eventId, missing]),
        [[newest.eventId, [hidden[2]!.eventId]]],
      );
    }

    await rooms.append(
      live.roomId,
      hidden
        .slice(1)
        .map((pdu, index) => ({ pdu, kind: 'backfilled', ...(index === 0 ? { stateBefore: state } : {}) })),
    );
    assert.deepEqual(
      (await graph.backwardExtremities(live)).map(({ eventId, missing }) => [eventId, missing]),
      [[hidden[1]!.eventId, [hidden[0]!.eventId]]],
    );
    await rooms.append(live.roomId, [{ pdu: hidden[0]!, kind: 'backfilled' }]);
    assert.deepEqual(await graph.backwardExtremities(live), []);

    const page = await reader.page(live, ALICE, {
      direction: 'b',
      from: stream.current,
      to: null,
      limit: 20,
      matches: () => true,
    });
    assert.deepEqual(
      idsOf(page.events),
      [newest, ...hidden.reverse(), ...[...made].reverse()].map(({ eventId }) => eventId),
    );
    // What a reader has who read on at the newest end all the time.
    const { events } = await reader.newest(live, 0, stream.current, 20);
    assert.deepEqual(idsOf(events), idsOf([...page.events].reverse()));
  });
});
