/** What `/sync` asks the database for while clients wait and read along: nothing that memory holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Log } from '../kit/log.ts';
import { roomPath } from '../testing/room-path.ts';
import { testServer } from '../testing/test-server.ts';

/** A log that keeps the database's reading statements. */
function statementLog(): { log: Log; take(): string[] } {
  let statements: string[] = [];
  const named = (name: string): Log => ({
    debug(message, fields) {
      if (name === 'storage.sql') statements.push(`${message} ${JSON.stringify(fields)}`);
    },
    info() {},
    warn() {},
    error() {},
    child: (child) => named(name === '' ? child : `${name}.${child}`),
    isEnabled: () => true,
  });
  return {
    log: named(''),
    take() {
      const taken = statements;
      statements = [];
      return taken.filter((statement) => /select/i.test(statement));
    },
  };
}

test('a sync without news, and news to one who waits, ask the database for nothing', async (t) => {
  const { log, take } = statementLog();
  const server = await testServer(t, { log });
  const [alice, bob] = [await server.user('alice'), await server.user('bob')];
  const room = await alice.createRoom({ preset: 'public_chat' });
  const other = await alice.createRoom();
  await bob.join(room);
  await alice.say(room, 'warm');
  let since = (await bob.sync((await bob.sync()).next_batch)).next_batch;
  await alice.say(other, 'warm');
  assert.ok(take().length > 0, 'statements are seen');

  await alice.say(other, 'which is nothing to Bob');
  take();
  since = (await bob.sync(since)).next_batch;
  assert.deepEqual(take(), [], 'no news');

  for (const query of [{}, { use_state_after: true }]) {
    const waiting = bob.sync(since, { timeout: 30_000, ...query });
    await alice.get('/v3/account/whoami');
    await alice.say(room, 'hello');
    const woken = await waiting;
    assert.equal(woken.rooms.join[room.id].timeline.events[0].content.body, 'hello');
    assert.equal(woken.rooms.join[room.id].unread_notifications.notification_count > 0, true);
    since = woken.next_batch;
    // The sender's own look whether the transaction was there before.
    assert.deepEqual(
      take().filter((statement) => !statement.includes('once_keys')),
      [],
      `a message ${JSON.stringify(query)}`,
    );
  }

  const typed = bob.sync(since, { timeout: 30_000 });
  await alice.get('/v3/account/whoami');
  await alice.put(roomPath(room, 'typing', alice.userId), { typing: true });
  assert.equal((await typed).rooms.join[room.id].ephemeral.events[0].type, 'm.typing');
  assert.deepEqual(take(), [], 'typing');
});
