/** History that we lack: fetched when somebody pages back to it, checked, bounded, and shown to those who may see it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { playedRoom } from '../../test/support/played-room.ts';
import { handClock } from '../kit/clock.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { succeeded, type TestRoom, type TestUser } from '../testing/test-client.ts';
import { testServer } from '../testing/test-server.ts';

type Page = { readonly chunk: readonly { readonly content: { readonly body?: string } }[]; readonly end?: string };

forEachDatabase((database) => {
  /** A room in which the played server said much of which it told us only the last, so that a hole lies before that. */
  async function scene(t: TestContext, { missing = 150 }: { missing?: number } = {}) {
    const clock = handClock();
    const server = await testServer(t, { database, clock });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const { room, played } = await playedRoom(remote, alice);
    const first = played.say('first');
    await played.send([first]);
    for (let number = 1; number <= missing; number++) played.say(`${number}`);
    const last = played.say('last');
    remote.route('POST', /get_missing_events/, () => ({ json: { events: [] } }));
    assert.deepEqual(await played.send([last]), { [last.eventId]: {} });
    return { clock, server, remote, alice, room, played, first, last };
  }

  const messages = async (user: TestUser, room: TestRoom, query: Record<string, string | number>): Promise<Page> =>
    succeeded(await user.get(`/v3/rooms/${encodeURIComponent(room.id)}/messages`, { dir: 'b', ...query }));
  const bodies = (page: Page): string[] => page.chunk.flatMap(({ content }) => content.body ?? []);

  /** All that is said in a room, newest first, a page at a time. */
  async function readAll(user: TestUser, room: TestRoom, limit: number): Promise<string[]> {
    const all: string[] = [];
    let page = await messages(user, room, { limit });
    for (let pages = 0; pages < 100; pages++) {
      all.push(...bodies(page));
      if (page.end === undefined) return all;
      page = await messages(user, room, { limit, from: page.end });
    }
    throw new Error('The history has no end.');
  }

  test('who pages back reads the whole history, in its order, wherever the pages end', async (t) => {
    const { alice, room } = await scene(t);
    const expected = ['last', ...Array.from({ length: 150 }, (_, index) => `${150 - index}`), 'first'];

    assert.deepEqual(await readAll(alice, room, 20), expected);
    assert.deepEqual(await readAll(alice, room, 1000), expected);
  });

  test('a page that ends right before what is missing leads on to it', async (t) => {
    const { alice, room } = await scene(t, { missing: 8 });

    assert.deepEqual(await readAll(alice, room, 1), ['last', '8', '7', '6', '5', '4', '3', '2', '1', 'first']);
  });

  test('what is there already is asked of nobody', async (t) => {
    const { alice, room, remote } = await scene(t, { missing: 10 });
    await readAll(alice, room, 100);
    const asked = remote.requests.length;

    await readAll(alice, room, 5);

    assert.equal(remote.requests.length, asked);
  });

  test('the surroundings of an event are fetched, too', async (t) => {
    const { alice, room, last } = await scene(t, { missing: 10 });

    const path = `/v3/rooms/${encodeURIComponent(room.id)}/context/${encodeURIComponent(last.eventId)}`;
    const context = succeeded(await alice.get(path, { limit: 6 }));

    const before = context.events_before.map((event: { content: { body: string } }) => event.content.body);
    assert.deepEqual(before, ['10', '9', '8']);
  });

  test('history that fails its checks, or that nobody asked for, is not taken in (A3)', async (t) => {
    const { alice, room, remote, played } = await scene(t, { missing: 3 });
    const others = [...played.events.values()].filter(({ pdu }) =>
      ['1', '2', '3'].includes(String(pdu.content['body'])),
    );
    const stray = played.say('stray');
    remote.route('GET', /\/backfill\//, () => ({
      json: { pdus: [stray.json, ...others.map(({ json }) => ({ ...json, content: { body: 'forged' } }))] },
    }));

    const said = await readAll(alice, room, 10);

    // A wrong hash leaves the redacted event.
    assert.ok(!said.includes('forged') && !said.includes('stray'));
  });

  test('where nobody answers the page comes all the same, and the next one waits for nobody', async (t) => {
    const { alice, room, remote, clock } = await scene(t);
    let asked = 0;
    remote.route('GET', /\/backfill\//, () => {
      asked++;
      return { status: 404, json: {} };
    });

    const said = await readAll(alice, room, 10);
    const again = await readAll(alice, room, 10);
    assert.deepEqual(
      [said, again],
      [
        ['last', 'first'],
        ['last', 'first'],
      ],
    );
    assert.equal(asked, 1);
    clock.advance(61_000);
    await readAll(alice, room, 10);
    assert.equal(asked, 2);
  });

  test('who waits for history waits a bounded time', async (t) => {
    const { alice, room, remote, clock, played } = await scene(t, { missing: 5 });
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const arrived = new Promise<void>((resolve) => {
      remote.route('GET', /\/backfill\//, async () => {
        resolve();
        await held;
        return { status: 503, json: {} };
      });
    });

    const reading = messages(alice, room, { limit: 10 });
    await arrived;
    clock.advance(9000);
    const page = await reading;
    release();

    assert.deepEqual(bodies(page), ['last', 'first']);
    assert.ok(page.end !== undefined);
    assert.ok(played.events.size > 5);
  });
});
