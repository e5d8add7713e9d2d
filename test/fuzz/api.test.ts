/**
 * Nearly right requests against a whole server: none fails it, none hangs, none says nothing about what was wrong, and all
 * that was stored can be served. `MYELIN_FUZZ_REQUESTS=20000 MYELIN_FUZZ_SEED=7` makes a longer run, or another one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/kit/random.ts';
import type { TestUser } from '../../src/testing/test-client.ts';
import { testServer } from '../../src/testing/test-server.ts';
import { forEachDatabase } from '../support/databases.ts';
import { assertServed, assertSound } from '../threats/served.ts';
import { apiRequest, type World } from './api-requests.ts';
import { pick } from './generate.ts';

const REQUESTS = Number(process.env['MYELIN_FUZZ_REQUESTS'] ?? 300);
const SEED = Number(process.env['MYELIN_FUZZ_SEED'] ?? 1);
const REQUESTS_PER_ROOM = 40;
/** The users leave older ones, so that a sync of a long run holds as much as one of a short run. */
const ROOMS_AT_HAND = 40;
const ABSENT = '!absent:myelin.test';
/** What the network of tests says of servers that requests name. */
const NOT_THERE = /^There is no server \S+ in this test\.$/;
const ANSWER_TIMEOUT_MS = 20_000;

forEachDatabase((database) => {
  test(`A10: ${REQUESTS} nearly right requests leave a server whole`, {
    timeout: 60_000 + REQUESTS * 100,
  }, async (t) => {
    const random = seededRandom(SEED);
    const server = await testServer(t, { database });
    const users: TestUser[] = [];
    for (const name of ['alice', 'bob', 'carol']) users.push(await server.user(name));
    // Someone in each room for whom no request speaks.
    const witness = await server.user('witness');
    const rooms: string[] = [];
    const newRoom = async (): Promise<string> => {
      const version = pick(random, ['1', '6', '11', '12']);
      const levels = {
        ...{ events_default: 0, state_default: 0, ban: 100, kick: 100 },
        users: version === '12' ? {} : { [witness.userId]: 100 },
      };
      const options = { preset: 'public_chat', room_version: version, power_level_content_override: levels };
      const room = await witness.createRoom(options);
      for (const user of users) await user.join(room);
      rooms.push(room.id);
      return room.id;
    };
    const world: World = {
      rooms: [ABSENT, await newRoom()],
      users: [...users.map(({ userId }) => userId), '@absent:myelin.test', '@remote:elsewhere.test'],
      events: new Map([[ABSENT, [`$${'x'.repeat(43)}`]]]),
      tokens: [(await witness.sync()).next_batch],
    };

    let left = 1;
    const leaveOldRooms = async (): Promise<void> => {
      for (; left < world.rooms.length - ROOMS_AT_HAND; left++) {
        const path = `/v3/rooms/${encodeURIComponent(world.rooms[left]!)}/leave`;
        // Who was banned, or never came in, cannot leave.
        for (const user of users) assert.ok((await user.post(path)).status < 500, path);
      }
    };

    let done = 0;
    for (let count = 0; count < REQUESTS; count++) {
      // Sooner or later the requests shut a room to all who make them.
      if (count % REQUESTS_PER_ROOM === 0) {
        world.rooms.push(await newRoom());
        await leaveOldRooms();
      }
      const user = pick(random, users);
      const { method, path, query, body } = apiRequest(random, world, user.userId);
      const what = `request ${count} of seed ${SEED}: ${method} ${path} ${JSON.stringify(query)} ${body ?? ''}`;
      const type = { 'content-type': 'application/json' };
      const reply = await Promise.race([user.request(method, path, body, query, type), lateAnswer(what)]);

      // Another server was needed, and is not there: that is told.
      const isFaultOfOthers = reply.status === 502 && NOT_THERE.test(reply.body.error);
      assert.ok(reply.status < 500 || isFaultOfOthers, `${what}: ${reply.status} ${JSON.stringify(reply.body)}`);
      if (reply.status === 200) done++;
      if (reply.status >= 400) {
        assert.match(String(reply.body.errcode), /^M_[A-Z_]+$/, what);
        assert.ok(String(reply.body.error).length > 5, what);
      }
      if (typeof reply.body.event_id === 'string') keepEvent(world, path, reply.body.event_id);
      const { room_id: id } = reply.body;
      if (typeof id === 'string' && !world.rooms.includes(id)) world.rooms.push(id);
      if (typeof reply.body.next_batch === 'string') world.tokens.push(reply.body.next_batch);
    }

    assert.ok(done > REQUESTS / 4, `only ${done} of ${REQUESTS} requests were right enough to try anything`);
    await assertSound(
      server,
      world.rooms.filter((id) => id !== ABSENT).map((id) => ({ id })),
    );
    for (const user of [witness, ...users]) {
      const joined: string[] = (await user.get('/v3/joined_rooms')).body.joined_rooms;
      for (const id of joined) await assertServed([user], { id });
      assert.equal(typeof (await user.sync()).next_batch, 'string');
    }
  });
});

function keepEvent({ events }: World, path: string, eventId: string): void {
  const roomId = decodeURIComponent(path.split('/')[3] ?? '');
  const known = events.get(roomId);
  if (known === undefined) events.set(roomId, [eventId]);
  else known.push(eventId);
}

async function lateAnswer(what: string): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, ANSWER_TIMEOUT_MS).unref());
  throw new Error(`No answer in time to ${what}`);
}
