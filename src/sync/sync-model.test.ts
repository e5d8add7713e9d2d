/**
 * Sync against a naive model: random histories, read at random points with random limits. What a client puts together
 * from the answers is what the room's history and state say. More seeds: `MYELIN_MODEL_RUNS=500`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { type ModelEvent, SyncModel, stateKeyOf } from '../../test/support/sync-model.ts';
import { type Random, seededRandom } from '../kit/random.ts';
import { roomPath } from '../testing/room-path.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { type TestServer, testServer } from '../testing/test-server.ts';

type Json = ReturnType<typeof JSON.parse>;

const RUNS = Number(process.env['MYELIN_MODEL_RUNS'] ?? 30);
const STEPS = 80;

/** What a client holds after one of its syncs: it can go on from there, also a second time. */
type Held = {
  readonly token: string | undefined;
  readonly time: number | null;
  readonly states: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly receipts: ReadonlyMap<string, ReadonlyMap<string, string>>;
};

type Client = { readonly user: TestUser; readonly stateAfter: boolean; readonly held: Held[] };

const NOTHING_HELD: Held = { token: undefined, time: null, states: new Map(), receipts: new Map() };

class Run {
  readonly #model = new SyncModel();
  readonly #random: Random;
  readonly #clients: Client[];
  readonly #rooms: string[] = [];

  constructor(random: Random, users: readonly TestUser[]) {
    this.#random = random;
    this.#clients = users.map((user) => ({ user, stateAfter: random.integer(2) === 0, held: [NOTHING_HELD] }));
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.integer(list.length)]!;
  }

  get #users(): TestUser[] {
    return this.#clients.map(({ user }) => user);
  }

  async begin(): Promise<void> {
    const [alice] = this.#users;
    for (let i = 0; i < 2; i++) {
      const visibility = this.#pick(['shared', 'joined']);
      const room = await alice!.createRoom({
        preset: 'public_chat',
        initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: visibility } }],
      });
      const { chunk } = succeeded(await alice!.get(roomPath(room, 'messages'), { dir: 'f', limit: 100 }));
      for (const event of chunk) this.#add(room.id, event.event_id, event.type, event.state_key ?? null, event.content);
      this.#rooms.push(room.id);
    }
  }

  #add(roomId: string, id: string, type: string, stateKey: string | null, content: ModelEvent['content']): void {
    this.#model.add({ id, roomId, type, stateKey, content });
  }

  async step(): Promise<void> {
    const user = this.#pick(this.#users);
    const roomId = this.#pick(this.#rooms);
    const dice = this.#random.integer(100);
    if (dice < 22) await this.#say(user, roomId);
    else if (dice < 36) {
      await this.#setState(user, roomId, this.#pick(['m.room.topic', 'org.a']), this.#pick(['', 'k']));
    } else if (dice < 60) await this.#changeMembership(roomId);
    else if (dice < 64) await this.#redact(user, roomId);
    else if (dice < 70) await this.#read(user, roomId);
    else await this.sync(this.#pick(this.#clients));
  }

  async #say(user: TestUser, roomId: string): Promise<void> {
    const content = { msgtype: 'm.text', body: this.#random.text(5) };
    const reply = await user.put(roomPath(roomId, 'send', 'm.room.message', user.transactionId()), content);
    if (reply.status === 200) this.#add(roomId, reply.body.event_id, 'm.room.message', null, content);
  }

  async #setState(user: TestUser, roomId: string, type: string, stateKey: string, given?: object): Promise<void> {
    const content = { ...(given ?? { a: this.#random.integer(3) }) };
    const reply = await user.put(roomPath(roomId, 'state', type, stateKey), content);
    if (reply.status === 200) this.#add(roomId, reply.body.event_id, type, stateKey, content);
  }

  /** Of those who did not make the rooms: the one who did stays, so that the rooms live on. */
  async #changeMembership(roomId: string): Promise<void> {
    const [alice, ...others] = this.#users;
    const target = this.#pick(others);
    const isOwn = this.#random.integer(2) === 0;
    const membership = isOwn ? this.#pick(['join', 'join', 'leave']) : this.#pick(['invite', 'leave', 'ban']);
    await this.#setState(isOwn ? target : alice!, roomId, 'm.room.member', target.userId, { membership });
  }

  async #redact(user: TestUser, roomId: string): Promise<void> {
    const messages = this.#model.events.filter((event) => event.roomId === roomId && event.type === 'm.room.message');
    if (messages.length === 0) return;
    const { id } = this.#pick(messages);
    const reply = await user.put(roomPath(roomId, 'redact', id, user.transactionId()));
    if (reply.status !== 200) return;
    this.#add(roomId, reply.body.event_id, 'm.room.redaction', null, { redacts: id });
    this.#model.redacted.add(id);
  }

  async #read(user: TestUser, roomId: string): Promise<void> {
    const events = this.#model.events.filter((event) => event.roomId === roomId);
    const { id } = this.#pick(events.slice(-10));
    const reply = await user.post(roomPath(roomId, 'receipt', 'm.read', id));
    if (reply.status === 200) this.#model.read(roomId, user.userId, id);
  }

  /** One sync of a client, mostly from where it is, sometimes from where it was or from the beginning. */
  async sync(client: Client): Promise<void> {
    const held = this.#random.integer(4) === 0 ? this.#pick(client.held) : client.held.at(-1)!;
    const limit = this.#pick([0, 1, 2, 3, 5, 20, 100]);
    const filter = JSON.stringify({ room: { include_leave: true, timeline: { limit } } });
    const query = { filter, use_state_after: client.stateAfter };
    const answer = await client.user.sync(held.token, query);
    const states = new Map(held.states);
    const receipts = new Map(held.receipts);
    for (const roomId of this.#rooms) {
      const where = `${client.user.userId} ${roomId} since ${held.token} limit ${limit}`;
      await this.#compare(client, held, answer, roomId, limit, states, receipts, where);
    }
    client.held.push({ token: answer.next_batch, time: this.#model.now, states, receipts });
  }

  async #compare(
    client: Client,
    held: Held,
    answer: Json,
    roomId: string,
    limit: number,
    states: Map<string, ReadonlyMap<string, string>>,
    receipts: Map<string, ReadonlyMap<string, string>>,
    where: string,
  ): Promise<void> {
    const { userId } = client.user;
    const expected = this.#model.expected(roomId, userId, held.time, limit);
    const sections = ['join', 'invite', 'leave', 'knock'].filter(
      (name) => answer.rooms?.[name]?.[roomId] !== undefined,
    );
    assert.deepEqual(sections, expected.section === 'absent' ? [] : [expected.section], where);
    if (expected.section === 'absent' || expected.section === 'invite') return;
    const told = answer.rooms[expected.section][roomId];
    const { events, limited, prev_batch: before } = told.timeline;
    const ids = events.map((event: Json) => event.event_id);
    assert.deepEqual(ids, expected.timeline, where);
    assert.equal(limited, expected.isLimited, where);
    for (const event of events) {
      if (this.#model.redacted.has(event.event_id)) assert.deepEqual(event.content, {}, where);
    }
    if (!expected.tellsState) return;

    const state = new Map(expected.isFresh ? [] : states.get(roomId));
    const apply = (event: Json): void => {
      if (event.state_key !== undefined) state.set(stateKeyOf(event.type, event.state_key), event.event_id);
    };
    for (const event of client.stateAfter ? told.state_after.events : told.state.events) {
      assert.notEqual(state.get(stateKeyOf(event.type, event.state_key)), event.event_id, `told again: ${where}`);
      apply(event);
    }
    for (const event of client.stateAfter ? [] : events) {
      // What became of somebody who was out by then adjoins nothing.
      const isLastWord = expected.section === 'leave' && event === events.at(-1);
      if (event.unsigned.replaces_state !== undefined && !isLastWord) {
        const before = state.get(stateKeyOf(event.type, event.state_key));
        assert.equal(before, event.unsigned.replaces_state, `state before the timeline: ${where}`);
      }
      apply(event);
    }
    // The word behind the timeline of a left room is of the timeline alone.
    const last = events.at(-1);
    if (expected.section === 'leave' && last?.state_key === userId) {
      state.set(stateKeyOf('m.room.member', userId), last.event_id);
    }
    assert.deepEqual([...state].sort(), [...expected.state].sort(), `state: ${where}`);
    states.set(roomId, state);
    if (expected.section === 'leave') return;

    const read = new Map(receipts.get(roomId));
    for (const { type, content } of told.ephemeral?.events ?? []) {
      if (type !== 'm.receipt') continue;
      for (const [eventId, byType] of Object.entries<Json>(content)) {
        for (const reader of Object.keys(byType['m.read'] ?? {})) read.set(reader, eventId);
      }
    }
    const userIds = this.#users.map((user) => user.userId);
    assert.deepEqual([...read].sort(), [...this.#model.receiptsOf(roomId, userIds)].sort(), `receipts: ${where}`);
    receipts.set(roomId, read);
    if (this.#random.integer(3) === 0) await this.#readBack(client.user, roomId, before, ids[0], where);
  }

  /** Reads the history before a timeline to its beginning: no hole, and nothing twice. */
  async #readBack(user: TestUser, roomId: string, before: string, firstId: string | undefined, where: string) {
    const all = this.#model.visible(roomId, user.userId, this.#model.now).map(({ event }) => event.id);
    const older = firstId === undefined ? all : all.slice(0, all.indexOf(firstId));
    const limit = this.#pick([1, 3, 7, 50]);
    const found: string[] = [];
    for (let from: string | undefined = before; from !== undefined; ) {
      const page: Json = succeeded(await user.get(roomPath(roomId, 'messages'), { dir: 'b', from, limit }));
      found.push(...page.chunk.map((event: Json) => event.event_id));
      from = page.end;
      assert.ok(found.length <= older.length, `too much before: ${where}`);
    }
    assert.deepEqual(found.reverse(), older, `history: ${where}`);
  }

  async end(): Promise<void> {
    for (const client of this.#clients) await this.sync(client);
  }
}

async function oneRun(server: TestServer, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const users: TestUser[] = [];
  for (const name of ['alice', 'bob', 'carol'].slice(0, 2 + (seed % 2)))
    users.push(await server.user(`${name}-${seed}`));
  const run = new Run(random, users);
  await run.begin();
  for (let step = 0; step < STEPS; step++) {
    await run.step();
    if (seed % 10 === 0 && step === STEPS / 2) {
      await server.stop();
      await server.start();
    }
  }
  await run.end();
}

forEachDatabase((database) => {
  test(`what clients put together is what happened, in ${RUNS} histories`, async (t) => {
    const server = await testServer(t, { database });
    for (let seed = 1; seed <= RUNS; seed++) {
      await oneRun(server, seed).catch((error: Error) => {
        error.message = `Seed ${seed}: ${error.message}`;
        throw error;
      });
    }
  });
});
