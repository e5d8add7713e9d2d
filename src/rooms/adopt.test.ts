/** Rooms that this server joins through another one, and what it knows of rooms before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { engineDatabase } from '../../test/support/engine-database.ts';
import { forge } from '../../test/threats/forge.ts';
import { MatrixError } from '../core/errors.ts';
import type { RoomId, ServerName, UserId } from '../core/ids.ts';
import type { Pdu } from '../core/pdu.ts';
import { findRoomRules, type RoomVersion } from '../core/room-versions.ts';
import { ALICE, type Engine, publicRoomDrafts, sayDraft, startEngine, stateDraft } from '../testing/engine.ts';
import type { Adoption } from './adopt.ts';
import type { LiveRoom } from './live-room.ts';

const LOCAL = 'local.org' as ServerName;
const dora = '@dora:local.org' as UserId;
const emil = '@emil:local.org' as UserId;

type Test = { after(done: () => unknown): void };

forEachDatabase((database) => {
  /** A room of another server, and a server that knows nothing of it. */
  async function scene(t: Test, version: RoomVersion = '11') {
    const far = await startEngine(await engineDatabase(t, database));
    const db = await engineDatabase(t, database);
    const near = await startEngine(db, LOCAL);
    const [create] = await far.rooms.create(findRoomRules(version)!, publicRoomDrafts(version));
    const { roomId } = create!.pdu;
    await far.rooms.send(roomId, [stateDraft(ALICE, 'm.room.topic', '', { topic: 'far away' })]);
    return { far, near, db, roomId, farLive: await far.rooms.get(roomId) };
  }

  /** What the far server answers to a join: the state before it, all that this rests on, and the join itself. */
  async function answerTo(far: Engine, farLive: LiveRoom, userId: UserId, isTakenIn = true): Promise<Adoption> {
    const tips = await far.events.findManyById([...farLive.extremities.keys()]);
    const draft = stateDraft(userId, 'm.room.member', userId, { membership: 'join' });
    const join = await forge(far, farLive, [...tips.values()], draft);
    const state = await far.reader.currentState(farLive);
    const chainNos = await far.graph.authChainNos(
      farLive,
      state.map(({ eventNo }) => eventNo),
    );
    const authChain = await far.events.list(chainNos);
    if (isTakenIn) await far.rooms.append(farLive.roomId, [{ pdu: join, kind: 'live' }]);
    const pdusOf = (events: readonly { pdu: Pdu }[]) => events.map(({ pdu }) => pdu);
    return { roomId: farLive.roomId, rules: farLive.rules, state: pdusOf(state), authChain: pdusOf(authChain), join };
  }

  const stateOf = async (engine: Engine, roomId: RoomId) =>
    (await engine.reader.currentState(await engine.rooms.get(roomId))).map(({ eventId }) => eventId).sort();

  for (const version of ['1', '6', '12'] as const) {
    test(`a room of version ${version} is adopted with its state, spoken in, and there after a restart`, async (t) => {
      const { far, near, db, roomId, farLive } = await scene(t, version);
      const before = near.stream.current;
      const adoption = await answerTo(far, farLive, dora);

      const join = await near.rooms.adopt(adoption);
      const [said] = await near.rooms.send(roomId, [sayDraft(dora, 'hello')]);
      const [heard] = await far.rooms.append(roomId, [{ pdu: said!.pdu, kind: 'live' }]);

      assert.equal(heard!.standing, 'ok');
      assert.ok(join.position > before && near.stream.current >= join.position);
      const again = await startEngine(db, LOCAL);
      for (const engine of [near, again]) {
        assert.deepEqual(await stateOf(engine, roomId), await stateOf(far, roomId));
        const live = await engine.rooms.get(roomId);
        assert.deepEqual([...live.joinedByServer], [...farLive.joinedByServer]);
        assert.equal(live.membershipOf(dora), 'join');
        assert.deepEqual([...live.extremities.keys()], [said!.eventId]);
        const [hole] = await engine.graph.backwardExtremities(live);
        assert.equal(hole?.eventId, join.eventId);
      }
      assert.equal((await near.rooms.adopt(adoption)).eventNo, join.eventNo, 'repeated, it is the same join');
    });
  }

  test('history from before a join that is pushed later is taken in, and no tip of the graph', async (t) => {
    const { far, near, roomId, farLive } = await scene(t);
    const join = await near.rooms.adopt(await answerTo(far, farLive, dora));
    const { events } = await far.reader.newest(farLive, 0, far.stream.current, 100);
    const older = events.filter(({ eventId }) => eventId !== join.eventId).sort((a, b) => a.eventNo - b.eventNo);

    const verdicts = await near.rooms.append(
      roomId,
      older.map(({ pdu }) => ({ pdu, kind: 'live' })),
    );

    assert.equal(older[0]?.pdu.type, 'm.room.create');
    assert.deepEqual(new Set(verdicts.map(({ standing }) => standing)), new Set(['ok']));
    assert.deepEqual([...(await near.rooms.get(roomId)).extremities.keys()], [join.eventId]);
    assert.deepEqual(await stateOf(near, roomId), await stateOf(far, roomId));
  });

  test('a join that the told state forbids is refused, and nothing of the room is kept', async (t) => {
    const { far, near, roomId, farLive } = await scene(t);
    const adoption = await answerTo(far, farLive, dora, false);
    const [ban] = await far.rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', dora, { membership: 'ban' })]);
    const withBan = { ...adoption, state: [...adoption.state, ban!.pdu] };

    await assert.rejects(near.rooms.adopt(withBan), (error) => error instanceof MatrixError && error.status === 403);
    await assert.rejects(near.rooms.adopt({ ...adoption, state: [] }), MatrixError);

    assert.equal(await near.events.findById(adoption.authChain[0]!.eventId), undefined);
    assert.equal(
      (await near.rooms.adopt(adoption)).eventId,
      adoption.join.eventId,
      'a right answer is taken afterwards',
    );
  });

  test('B3: what the auth rules reject in a told state is in no state, then and later', async (t) => {
    const { far, near, roomId, farLive } = await scene(t);
    const adoption = await answerTo(far, farLive, dora);
    const mallory = '@mallory:example.org' as UserId;
    const tips = [...(await far.events.findManyById([...farLive.extremities.keys()])).values()];
    const create = adoption.state.find(({ type }) => type === 'm.room.create')!;
    const seized = await forge(
      far,
      farLive,
      tips,
      stateDraft(mallory, 'm.room.power_levels', '', { users: { [mallory]: 100 } }),
      { authEvents: [create.eventId] },
    );
    const state = [...adoption.state.filter(({ type }) => type !== 'm.room.power_levels'), seized];

    await near.rooms.adopt({ ...adoption, state });

    const live = await near.rooms.get(roomId);
    assert.equal(await near.reader.stateEvent(live, 'm.room.power_levels', ''), null);
    assert.equal((await near.events.findById(seized.eventId))?.row.standing, 'rejected');
    const [again] = await near.rooms.append(roomId, [{ pdu: seized, kind: 'live' }]);
    assert.equal(again?.standing, 'rejected');
  });

  test('a room that was left is taken up anew: its state is what is told now, its history stays', async (t) => {
    const { far, near, db, roomId, farLive } = await scene(t);
    await near.rooms.adopt(await answerTo(far, farLive, dora));
    const [leave] = await near.rooms.send(roomId, [stateDraft(dora, 'm.room.member', dora, { membership: 'leave' })]);
    await far.rooms.append(roomId, [{ pdu: leave!.pdu, kind: 'live' }]);
    await far.rooms.send(roomId, [stateDraft(ALICE, 'm.room.topic', '', { topic: 'while she was away' })]);

    const join = await near.rooms.adopt(await answerTo(far, farLive, dora));

    for (const engine of [near, await startEngine(db, LOCAL)]) {
      assert.deepEqual(await stateOf(engine, roomId), await stateOf(far, roomId));
      const live = await engine.rooms.get(roomId);
      assert.deepEqual([...live.extremities.keys()], [join.eventId]);
      const { events } = await engine.reader.newest(live, 0, near.stream.current, 10);
      assert.ok(events.some(({ eventId }) => eventId === leave!.eventId));
    }
  });

  test('an invite from outside is a membership with what was told of the room, and turns into a join', async (t) => {
    const { far, near, db, roomId, farLive } = await scene(t);
    const [invite] = await far.rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', dora, { membership: 'invite' })]);
    const strippedState = [{ type: 'm.room.name', state_key: '', sender: ALICE, content: { name: 'Far' } }];
    const from = { roomId, rules: farLive.rules, pdu: invite!.pdu, strippedState };
    const before = near.stream.current;

    assert.equal(await near.rooms.receiveOutOfBand(from), true);
    assert.equal(await near.rooms.receiveOutOfBand(from), true, 'repeated');
    const live = await (await startEngine(db, LOCAL)).rooms.get(roomId);
    assert.equal(live.membershipOf(dora), 'invite');
    assert.equal(live.isServerJoined, false);
    assert.ok(near.stream.current > before);

    await near.rooms.adopt(await answerTo(far, farLive, dora));
    assert.equal(await near.rooms.receiveOutOfBand({ ...from, pdu: { ...invite!.pdu } }), false, 'we are in the room');
    for (const engine of [near, await startEngine(db, LOCAL)]) {
      assert.equal((await engine.rooms.get(roomId)).membershipOf(dora), 'join');
      assert.deepEqual(await stateOf(engine, roomId), await stateOf(far, roomId));
      const stored = await engine.events.findById(invite!.eventId);
      assert.equal(stored?.isOutOfBand, false, 'judged now');
    }
  });

  test('A9: the version that an invite told gives way to what the create event says, and that to nothing', async (t) => {
    const { far, near, db, roomId, farLive } = await scene(t);
    const [invite] = await far.rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', dora, { membership: 'invite' })]);
    const rules = findRoomRules('9')!;
    await near.rooms.receiveOutOfBand({ roomId, rules, pdu: invite!.pdu, strippedState: [] });
    assert.equal((await near.rooms.get(roomId)).rules.version, '9');

    const adoption = await answerTo(far, farLive, dora);
    await near.rooms.adopt(adoption);

    for (const engine of [near, await startEngine(db, LOCAL)]) {
      assert.equal((await engine.rooms.get(roomId)).rules.version, '11');
      assert.deepEqual(await stateOf(engine, roomId), await stateOf(far, roomId));
    }
    await assert.rejects(
      near.rooms.adopt({ ...adoption, rules }),
      (error) => error instanceof MatrixError && error.status === 403,
    );
    await assert.rejects(
      near.rooms.receiveOutOfBand({ roomId, rules, pdu: invite!.pdu, strippedState: [] }),
      MatrixError,
    );
  });

  test('an invite from outside can be left without the other server, once', async (t) => {
    const { far, near, db, roomId, farLive } = await scene(t);
    const [invite] = await far.rooms.send(roomId, [stateDraft(ALICE, 'm.room.member', emil, { membership: 'invite' })]);
    await near.rooms.receiveOutOfBand({ roomId, rules: farLive.rules, pdu: invite!.pdu, strippedState: [] });

    await assert.rejects(near.rooms.leaveOutOfBand(roomId, dora), MatrixError);
    await near.rooms.leaveOutOfBand(roomId, emil);
    await assert.rejects(near.rooms.leaveOutOfBand(roomId, emil), MatrixError);

    assert.equal((await (await startEngine(db, LOCAL)).rooms.get(roomId)).membershipOf(emil), 'leave');
  });
});
