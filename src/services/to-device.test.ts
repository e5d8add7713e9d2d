/** Messages to devices: on this server, from other servers and to them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../../test/support/databases.ts';
import { handClock } from '../kit/clock.ts';
import { sql } from '../storage/sql.ts';
import { remoteServer } from '../testing/remote-server.ts';
import { succeeded, type TestUser } from '../testing/test-client.ts';
import { testNetwork } from '../testing/test-network.ts';
import { testServer } from '../testing/test-server.ts';

type Messages = Record<string, Record<string, object>>;

const put = (sender: TestUser, messages: Messages, txnId = sender.transactionId(), type = 'm.test') =>
  sender.put(`/v3/sendToDevice/${type}/${txnId}`, { messages });

const send = async (sender: TestUser, messages: Messages, txnId?: string): Promise<void> => {
  succeeded(await put(sender, messages, txnId));
};

/** What the messages of a sync say. */
const said = (sync: { to_device?: { events: { content: { n: unknown } }[] } }): unknown[] =>
  (sync.to_device?.events ?? []).map(({ content }) => content.n);

const until = async (user: TestUser, since: string, count: number): Promise<unknown[]> => {
  const all: unknown[] = [];
  for (let place = since, tries = 0; all.length < count && tries < 20; tries++) {
    const sync = await user.sync(place, { timeout: 5000 });
    all.push(...said(sync));
    place = sync.next_batch;
  }
  return all;
};

forEachDatabase((database) => {
  test('a message reaches one device, or all of a user, wakes who waits, and is told once its sender', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const bob2 = await server.login(bob);
    const since = (await bob.sync()).next_batch;
    const since2 = (await bob2.sync()).next_batch;
    const waiting = bob.sync(since, { timeout: 30_000 });

    await send(alice, { [bob.userId]: { [bob.deviceId]: { n: 1 } } });
    const woken = await waiting;
    await send(alice, {
      [bob.userId]: { '*': { n: 2 }, [bob2.deviceId]: { n: 3 } },
      [alice.userId]: { '*': { n: 4 } },
    });

    assert.deepEqual(woken.to_device.events, [{ sender: alice.userId, type: 'm.test', content: { n: 1 } }]);
    assert.deepEqual(said(await bob.sync(woken.next_batch)), [2]);
    assert.deepEqual(said(await bob2.sync(since2)), [3]);
    assert.deepEqual(said(await alice.sync()), [4]);
  });

  test('messages are given again until a later token shows that they came, and then never more', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const start = (await alice.sync()).next_batch;
    await send(alice, { [alice.userId]: { '*': { n: 1 } } });

    const first = await alice.sync(start);
    const second = await alice.sync(start);
    const third = await alice.sync(second.next_batch);
    await server.stop();
    await server.start();

    assert.deepEqual([said(first), said(second), said(third)], [[1], [1], []]);
    assert.deepEqual(said(await alice.sync()), []);
  });

  test('a repeated transaction sends nothing more, also after a restart; other paths and devices have their own', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const alice2 = await server.login(alice);
    const start = (await alice.sync()).next_batch;
    const to = (n: number) => ({ [alice.userId]: { [alice.deviceId]: { n } } });

    await Promise.all([send(alice, to(1), 'x'), send(alice, to(1), 'x')]);
    await server.stop();
    await server.start();
    await send(alice, to(2), 'x');
    await send(alice2, to(3), 'x');
    succeeded(await put(alice, to(4), 'x', 'm.other'));

    assert.deepEqual(said(await alice.sync(start)), [1, 3, 4]);
  });

  test('more messages than fit into one answer come in order over the next ones, which do not wait', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const room = await alice.createRoom();
    const start = (await alice.sync()).next_batch;
    for (let n = 0; n < 230; n++) await send(alice, { [alice.userId]: { '*': { n } } });
    await alice.say(room, 'hello');

    const counts: number[] = [];
    const all: unknown[] = [];
    let since = start;
    for (let tries = 0; tries < 3; tries++) {
      const sync = await alice.sync(since, { timeout: 30_000 });
      assert.equal(sync.rooms !== undefined, tries === 0, 'the room is told once');
      counts.push(said(sync).length);
      all.push(...said(sync));
      since = sync.next_batch;
    }

    assert.deepEqual(counts, [100, 100, 30]);
    assert.deepEqual(
      all,
      Array.from({ length: 230 }, (_, n) => n),
    );
    assert.deepEqual(said(await alice.sync(since)), []);
  });

  test('messages to who and what is not there are dropped, and those of a device end with it (threat C13)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const bob = await server.user('bob');
    const bob2 = await server.login(bob, { deviceId: 'SECOND' });

    await send(alice, { '@nobody:myelin.test': { '*': { n: 1 } }, [bob.userId]: { NONE: { n: 2 }, SECOND: { n: 3 } } });
    succeeded(await bob2.post('/v3/logout'));
    const again = await server.login(bob, { deviceId: 'SECOND' });

    assert.deepEqual(said(await again.sync()), []);
    const rows = await server.inspect((db) => db.all(sql`select * from to_device_messages`));
    assert.deepEqual(rows, []);
  });

  test('what makes no sense or is too large is refused, and nothing of it is sent (threat C13)', async (t) => {
    const server = await testServer(t, { database });
    const alice = await server.user('alice');
    const large = { n: 'x'.repeat(70_000) };
    const errors: unknown[] = [];

    for (const body of [
      {},
      { messages: [] },
      { messages: { [alice.userId]: [] } },
      { messages: { [alice.userId]: { [alice.deviceId]: 'text' } } },
      { messages: { alice: { '*': {} } } },
      { messages: { [alice.userId]: { '*': { n: 1.5 } } } },
      { messages: { [alice.userId]: { '*': { n: 1 }, OTHER: large } } },
    ]) {
      const reply = await alice.put(`/v3/sendToDevice/m.test/${alice.transactionId()}`, body);
      errors.push([reply.status, reply.body.errcode]);
    }
    const long = await put(alice, {}, 'long', 'x'.repeat(300));

    const bad = Array.from({ length: 5 }, () => [400, 'M_BAD_JSON']);
    assert.deepEqual(errors, [[400, 'M_MISSING_PARAM'], ...bad, [413, 'M_TOO_LARGE']]);
    assert.deepEqual([long.status, long.body.errcode], [400, 'M_INVALID_PARAM']);
    assert.deepEqual(said(await alice.sync()), []);
  });

  test('another server fills at most its share of what waits for a device, and each message comes once (threat C13)', async (t) => {
    const server = await testServer(t, { database, clock: handClock() });
    const remote = await remoteServer(t, server);
    const alice = await server.user('alice');
    const bob = remote.userId('bob');
    const flood = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => ({
        edu_type: 'm.direct_to_device',
        content: {
          sender: bob,
          type: 'm.test',
          message_id: `m${from + index}`,
          messages: { [alice.userId]: { '*': { n: from + index } }, '@nobody:myelin.test': { '*': {} } },
        },
      }));
    const transact = async (txnId: string, edus: object[]) =>
      succeeded(
        await remote.signedRequest('PUT', `/_matrix/federation/v1/send/${txnId}`, {
          origin: remote.serverName,
          origin_server_ts: 1,
          pdus: [],
          edus,
        }),
      );
    const start = (await alice.sync()).next_batch;

    await transact('one', flood(0, 3));
    await transact('again', flood(0, 3));
    await transact('forged', [
      { edu_type: 'm.direct_to_device', content: { ...flood(7, 1)[0]!.content, sender: '@eve:other.test' } },
      { edu_type: 'm.direct_to_device', content: { ...flood(8, 1)[0]!.content, message_id: 7 } },
      { edu_type: 'm.direct_to_device', content: { ...flood(9, 1)[0]!.content, messages: 7 } },
    ]);
    assert.deepEqual(said(await alice.sync(start)), [0, 1, 2]);

    const large = { '*': { n: 'x'.repeat(60_000) } };
    for (let transaction = 0; transaction < 17; transaction++) {
      const edus = flood(100 + 20 * transaction, 20).map(({ edu_type, content }) => {
        return { edu_type, content: { ...content, messages: { [alice.userId]: large } } };
      });
      await transact(`flood${transaction}`, edus);
    }
    await send(alice, { [alice.userId]: { '*': { n: 'own' } } });
    const rows = await server.inspect((db) =>
      db.all<{ source: string; chars: number }>(
        sql`select source, sum(length(message)) as chars from to_device_messages group by source order by source`,
      ),
    );
    assert.deepEqual(
      rows.map(({ source }) => source),
      [alice.userId, remote.serverName],
    );
    const chars = Number(rows[1]!.chars);
    assert.ok(chars > 15_000_000 && chars <= 16_000_000, `${chars}`);
  });

  test('messages reach devices on another server in order, after an outage and a restart, large ones in several EDUs (threat C13)', async (t) => {
    const network = await testNetwork(t, { names: ['a', 'b'], database });
    const { a, b } = network.servers;
    const [alice, bob] = [await a.user('alice'), await b.user('bob')];
    const start = (await bob.sync()).next_batch;
    const big = 'x'.repeat(40_000);

    await send(alice, { [bob.userId]: { [bob.deviceId]: { n: 0 } } });
    assert.deepEqual(await until(bob, start, 1), [0]);
    network.cut('a', 'b');
    for (let n = 1; n <= 5; n++) await send(alice, { [bob.userId]: { '*': { n, big }, OTHER: { n, big } } });
    await a.stop();
    await a.start();
    network.join('a', 'b');
    // A sign of life ends the pause that the outage began.
    await bob.get('/v3/profile/@alice:a.test');

    assert.deepEqual(await until(bob, start, 6), [0, 1, 2, 3, 4, 5]);
  });
});
